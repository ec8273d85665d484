"""Loops that NumPy has no word for, compiled by Numba at their first use and kept beside the source."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numba

__all__ = ["compiled"]

_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function) -> _Function:
    """Return *function* as machine code that holds no interpreter lock; its types stay those of the source."""
    try:
        fast: _Function = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no folder to keep it in can be written: it is compiled anew in each process
        fast = numba.njit(nogil=True)(function)
    return fast
