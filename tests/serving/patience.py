"""Settings of servers in tests that are about something else than time."""

from __future__ import annotations

__all__ = ["PATIENT"]

PATIENT = {
    "resilience": {"admission": {"least": 100}, "deadline": {"default_ms": 30_000}, "store": {"slow_ms": None}},
    "log": {"max_pending_seconds": 60},
}
"""No request is turned away for want of time, however busy the machine and its disk are."""
