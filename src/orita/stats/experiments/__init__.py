"""Experiments: comparisons of two arms at a planned end, variance reduction, plans and checks."""
