"""Which of the earlier events a feature sees: lengths of time, and the windows that are made of them.

Times and lengths are whole microseconds; every window is aligned to the Unix epoch in UTC, so that daylight saving and
the zone of a machine change nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from orita.core.errors import UserError

__all__ = ["LIFETIME", "MICROS_PER_DAY", "Window", "WindowKind", "duration_micros", "duration_text"]

MICROS_PER_DAY = 86_400_000_000

WindowKind = Literal["lifetime", "sliding", "tumbling", "session"]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_UNIT_MICROS = {"d": MICROS_PER_DAY, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000}
_LONGEST = 100 * 366 * MICROS_PER_DAY


@dataclass(frozen=True, slots=True)
class Window:
    """Which of the events before a time t count.

    Attributes:
        kind: ``lifetime``, all of them; ``sliding``, those of the last *width*; ``tumbling``, those since the last
            multiple of *width* since the Unix epoch; ``session``, those since the last pause of *width* or more, none
            once such a pause has passed since the latest.
        width: microseconds, > 0 (0 for lifetime).
        hop: microseconds to whose multiples the beginning of a sliding window is rounded down; 0: it is exact.
        delay: microseconds by which events count late: t is moved back by so much first.
        cap: at most so many events, the latest ones; 0: any number.
    """

    kind: WindowKind = "lifetime"
    width: int = 0
    hop: int = 0
    delay: int = 0
    cap: int = 0

    @property
    def tile(self) -> int | None:
        """Length of the stretches of time whose events may be merged: 0, none may; None, all events may."""
        match self.kind:
            case "lifetime":
                return None
            case "tumbling":
                return self.width
            case _:
                return self.hop


LIFETIME = Window()


def duration_micros(text: str, what: str = "duration", *, zero: bool = False) -> int:
    """Return the microseconds of a duration such as ``30m``, ``6h`` or ``3d``, of a hundred years at most.

    Args:
        text: a positive number and s, m, h or d; anything else is refused, whatever type it has.
        what: what it is for, for the sentence of an error.
        zero: whether ``0s`` is allowed.

    >>> duration_micros("6h")
    21600000000
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    micros = round(min(float(match[1]) * _UNIT_MICROS[match[2]], _LONGEST + 1)) if match else -1
    if not (0 if zero else 1) <= micros <= _LONGEST:
        raise UserError(
            f"{what} {text!r} is not understood: write a positive number and s, m, h or d, such as '3d', "
            "a hundred years at most."
        )
    return micros


def duration_text(micros: int) -> str:
    """Return the shortest way to write a duration.

    >>> duration_text(21_600_000_000)
    '6h'
    """
    for unit, size in _UNIT_MICROS.items():
        if micros % size == 0:
            return f"{micros // size}{unit}"
    return f"{micros / 1_000_000:g}s"
