"""Identifiers: UUID version 7 (RFC 9562), ordered by the time they were made."""

from __future__ import annotations

import secrets
import uuid

from orita.core.clock import Clock, SystemClock, to_micros

__all__ = ["uuid7"]


def uuid7(clock: Clock | None = None) -> str:
    """Return a new UUID version 7: 48 bits of Unix milliseconds, then 74 random bits.

    >>> uuid7()[14]
    '7'
    """
    millis = to_micros((clock or SystemClock()).now()) // 1000
    value = (millis & (2**48 - 1)) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))
