"""Generations of online state: written one after the other, read one at a time, in folders or in Redis."""
