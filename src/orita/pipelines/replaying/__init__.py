"""A span of time replayed from the logs: what was online then, computed again and compared."""
