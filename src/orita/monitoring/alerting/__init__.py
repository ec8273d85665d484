"""Alerts as declarations: what is measured, when it fires, which state it is in, and who has been told."""
