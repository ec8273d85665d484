"""Asynchronous inference: predictions that are asked for now, answered soon, and never lost in between."""
