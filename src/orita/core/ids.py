"""Identifiers: UUID version 7 (RFC 9562), ordered by the time they were made."""

from __future__ import annotations

import secrets

from orita.core.clock import Clock, SystemClock, to_micros

__all__ = ["millis_of", "uuid7"]


def uuid7(clock: Clock | None = None) -> str:
    """Return a new UUID version 7: 48 bits of Unix milliseconds, then 74 random bits.

    >>> uuid7()[14]
    '7'
    """
    millis = to_micros((clock or SystemClock()).now()) // 1000
    random = int.from_bytes(secrets.token_bytes(10), "big")
    value = (millis & (2**48 - 1)) << 80 | 0x7 << 76 | (random >> 68) << 64 | 0b10 << 62 | random & (2**62 - 1)
    digits = f"{value:032x}"  # by hand, as a server makes one for each request and `uuid.UUID` takes ten times as long
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def millis_of(identifier: str) -> int:
    """Return when a UUID version 7 was made, in Unix milliseconds.

    >>> millis_of("01932fb5-0640-7000-8000-000000000000") == 1_731_672_213_056
    True
    """
    return int(identifier[:8] + identifier[9:13], 16)
