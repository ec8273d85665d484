"""Predictions that were computed before: keys that say what went in, two stores behind one protocol, cache-aside."""
