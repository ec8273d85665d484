"""State of keys: how it is laid out, brought up to date by a batch of events, and read as of a time. NumPy alone."""
