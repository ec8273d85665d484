"""Which feedback was counted already? A bounded memory of decision ids.

An id and its arm are kept as 64 bits of BLAKE2b: of a memory of n ids a new one is taken for an old one with a
probability of n ÷ 2⁶⁴, 5e-15 at 100,000. The ids that came first are forgotten first; feedback that comes again after
that counts again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b

import numpy as np

__all__ = ["DecisionIds"]


class DecisionIds:
    """The latest *capacity* ids of updates; some 100 bytes each, 8 when written."""

    def __init__(self, capacity: int, digests: Iterable[int] = ()) -> None:
        self.capacity = capacity
        self._order = dict.fromkeys(digests)

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[int]:
        return iter(self._order)

    def add(self, decision: str, arm: str | int) -> bool:
        """Remember an update; return False where it was remembered already."""
        key = f"{len(decision)}:{decision}{arm!r}".encode()
        digest = int.from_bytes(blake2b(key, digest_size=8).digest(), "little")
        if digest in self._order:
            return False
        if self.capacity:
            if len(self._order) >= self.capacity:
                del self._order[next(iter(self._order))]
            self._order[digest] = None
        return True

    def joined(self, other: DecisionIds) -> DecisionIds:
        """Return the ids of both, the latest of each first to be kept where they are too many."""
        capacity = max(self.capacity, other.capacity)
        mine, theirs = list(self)[::-1], list(other)[::-1]
        both = [digest for pair in zip(mine, theirs, strict=False) for digest in pair]
        both += mine[len(theirs) :] + theirs[len(mine) :]
        return DecisionIds(capacity, list(dict.fromkeys(both))[:capacity][::-1])

    def to_bytes(self) -> bytes:
        """Return the digests, oldest first, 8 bytes each."""
        return np.fromiter(self._order, "<u8", len(self._order)).tobytes()

    @classmethod
    def from_bytes(cls, capacity: int, content: bytes) -> DecisionIds:
        """Return what was written."""
        return cls(capacity, np.frombuffer(content, "<u8").tolist())
