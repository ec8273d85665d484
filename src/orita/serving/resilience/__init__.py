"""Staying up: deadlines, admission, breakers and bulkheads, levels of degradation, and faults for drills."""
