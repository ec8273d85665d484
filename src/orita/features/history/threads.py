"""Work of several parts, done by as many threads as there are processors: the kernel holds no lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["at_once"]

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def at_once(make: Callable[[_Given], _Made], given: Sequence[_Given]) -> list[_Made]:
    """Return what *make* makes of each of *given*, in their order."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(make, given))
