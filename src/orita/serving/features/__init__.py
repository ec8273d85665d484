"""The feature store over HTTP."""
