"""Spans of time as people and Prometheus write them: ``30s``, ``5m``, ``1h30m``, ``30d``."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

__all__ = ["Duration", "parse_duration", "to_prometheus", "to_words"]

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")


def parse_duration(value: Any) -> Any:
    """Return the seconds that *value* means: a number of them, or text such as ``5m``; anything else as it is.

    Raises:
        ValueError: it is text of another form.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not re.fullmatch(rf"(?:{_PART.pattern})+", text):
        raise ValueError("expected a duration such as 30s, 5m, 1h30m or 3d, or a number of seconds")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


Duration = Annotated[float, BeforeValidator(parse_duration), Field(ge=0, le=366 * 86_400)]
"""Seconds, 0 … 366 days; in YAML also ``5m``."""


def to_prometheus(seconds: float) -> str:
    """Return *seconds* as Prometheus writes it, in the largest unit that is whole: 300 is ``5m``."""
    for unit in ("d", "h", "m", "s"):
        count = seconds / _SECONDS[unit]
        if count >= 1 and count == int(count):
            return f"{int(count)}{unit}"
    return f"{round(1000 * seconds)}ms" if seconds else "0s"


def to_words(seconds: float) -> str:
    """Return *seconds* for a sentence: ``5 minutes``."""
    for unit, name in (("d", "day"), ("h", "hour"), ("m", "minute")):
        count = seconds / _SECONDS[unit]
        if count >= 1 and count == int(count):
            return f"{int(count)} {name}{'' if count == 1 else 's'}"
    return f"{seconds:g} second{'' if seconds == 1 else 's'}"
