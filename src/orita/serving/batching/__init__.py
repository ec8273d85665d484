"""Requests answered together: those that wait at the same time, and those that come in one body."""
