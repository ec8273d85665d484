"""Which values occur most: frequent items of Apache DataSketches, fed by counts.

Legend: U different values of a batch. Source: Anderson et al. (2017), A high-performance algorithm for identifying
frequent items in data streams; leaving out what a batch has few of is Manku and Motwani (2002), lossy counting.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import datasketches
import numpy as np
import numpy.typing as npt

__all__ = ["FrequentItems", "FrequentSketch"]

_LG = 10
_FEW = 256
_SHARE = 1024
_LONGEST = 200
_NO_FALSE_NEGATIVES = datasketches.frequent_items_error_type.NO_FALSE_NEGATIVES


@dataclass(frozen=True, slots=True)
class FrequentItems:
    """A value as text and the rows that have it: *low* to *high*, the same where the count is exact."""

    value: str
    low: int
    high: int


class FrequentSketch:
    """The most frequent values: each count is at most 0.5 % of all rows too high or too low, in bounded room.

    Counts are exact up to some hundred different values. A text of more than 200 characters is kept as its beginning
    and a digest of the whole.
    """

    def __init__(self) -> None:
        self._sketch = datasketches.frequent_strings_sketch(_LG)
        self._left_out = 0

    @staticmethod
    def least(different: int, rows: int) -> int:
        """Return how many rows of a batch a value needs to be worth adding, where there are so many different ones."""
        return 1 if different <= _FEW else max(2, 1 + rows // _SHARE)

    def add(self, values: Sequence[str], counts_U: npt.NDArray[np.int64], *, least: int) -> None:
        """Add the values of a batch that have *least* rows or more, and know that others had fewer."""
        for value, count in zip(values, counts_U.tolist(), strict=True):
            self._sketch.update(value if len(value) <= _LONGEST else _shortened(value), count)
        self._left_out += least - 1

    def merge(self, other: FrequentSketch) -> None:
        """Add what *other* has seen."""
        self._sketch.merge(other._sketch)
        self._left_out += other._left_out

    @property
    def left_out(self) -> int:
        """How many rows any value may have beyond what the sketch was given."""
        return self._left_out

    def top(self, most: int = 10) -> tuple[FrequentItems, ...]:
        """Return the most frequent values, the first the most frequent; values in order of text where counts agree."""
        found = self._sketch.get_frequent_items(_NO_FALSE_NEGATIVES)
        items = [FrequentItems(value, int(low), int(high) + self._left_out) for value, _, low, high in found]
        return tuple(sorted(items, key=lambda item: (-item.low, item.value))[:most])

    @property
    def complete(self) -> bool:
        """Whether it has every value there was, with its exact count."""
        found = self._sketch.get_frequent_items(_NO_FALSE_NEGATIVES)
        return not self._left_out and all(low == high for _, _, low, high in found)

    def to_bytes(self) -> bytes:
        """Return the sketch as any DataSketches library reads it; `left_out` is beside it."""
        return bytes(self._sketch.serialize())

    @classmethod
    def from_bytes(cls, raw: bytes, left_out: int) -> FrequentSketch:
        """Return the sketch that `to_bytes` wrote."""
        sketch = cls()
        sketch._sketch.merge(datasketches.frequent_strings_sketch.deserialize(raw))
        sketch._left_out = left_out
        return sketch


def _shortened(text: str) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return f"{text[: _LONGEST - 20]}… {digest}"
