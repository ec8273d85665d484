"""Rollouts over HTTP: read, begun, paused, advanced, promoted and aborted."""
