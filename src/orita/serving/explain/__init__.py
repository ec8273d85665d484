"""Explanations and replays over HTTP."""
