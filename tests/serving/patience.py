"""Settings of servers in tests that are about something else than time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["PATIENT", "attempts", "patient"]

PATIENT: Mapping[str, Any] = {
    "resilience": {"admission": {"least": 100}, "deadline": {"default_ms": 30_000}, "store": {"slow_ms": None}},
    "log": {"max_pending_seconds": 60},
}
"""No request is turned away for want of time, however busy the machine and its disk are."""


def patient(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return *settings*, and `PATIENT` where they say nothing."""
    both = {**PATIENT, **settings}
    return both | {name: {**part, **settings.get(name, {})} for name, part in PATIENT.items()}


def attempts(seconds: float = 60.0) -> Iterator[None]:
    """Yield a hundred times a second for so long: for what happens by itself, soon, or on a busy machine later."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        yield
        time.sleep(0.01)
