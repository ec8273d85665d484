"""Ids of a request, turned into an array of numbers once: features and model both want them so.

Legend: N ids.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["IdList", "numbers_of"]

Integers = npt.NDArray[np.int64]


class IdList(list[Any]):
    """Ids in the order asked; not to be changed.

    Attributes:
        number_N: the same as numbers, None where some are texts or beyond 64 bits.
    """

    __slots__ = ("number_N",)

    def __init__(self, ids: Sequence[Any]) -> None:
        super().__init__(ids)
        self.number_N = _numbers(ids)


def numbers_of(ids: Sequence[Any]) -> Integers | None:
    """Return ids as numbers, int64; None where some are texts, truth values, of NumPy, or beyond 64 bits."""
    return ids.number_N if type(ids) is IdList else _numbers(ids)


def _numbers(ids: Sequence[Any]) -> Integers | None:
    if set(map(type, ids)) != {int}:
        return None
    try:
        return np.frombuffer(array("q", ids), np.int64)
    except OverflowError:
        return None
