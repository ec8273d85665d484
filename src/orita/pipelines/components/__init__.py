"""The steps that pipelines are made of: each with typed inputs and outputs, and kept by what it was made of."""
