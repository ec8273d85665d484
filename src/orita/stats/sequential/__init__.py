"""Inference that holds at every look: confidence sequences and tests that may be stopped at any time."""
