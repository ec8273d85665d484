"""A bulkhead: so many calls of a dependency may be under way, so that a slow one does not take all there is.

bulkhead = Bulkhead("store", most=64)
bulkhead.enter()                         # raises BulkheadFull
try:
    ...
finally:
    bulkhead.leave()
"""

from __future__ import annotations

from orita.core.errors import Unavailable

__all__ = ["Bulkhead", "BulkheadFull"]


class BulkheadFull(Unavailable):
    """A call that was not made, because too many are under way."""


class Bulkhead:
    """Counts the calls of one dependency; called by one thread.

    Attributes:
        name: the dependency.
        most: calls that may be under way.
        under_way: how many are.
        refused: calls that had no room.
    """

    def __init__(self, name: str, most: int) -> None:
        assert most >= 1
        self.name, self.most = name, most
        self.under_way = self.refused = 0

    def enter(self) -> None:
        """Take a place.

        Raises:
            BulkheadFull: there is none.
        """
        if self.under_way >= self.most:
            self.refused += 1
            raise BulkheadFull(f"{self.name} has {self.most} calls under way, as many as may be: ask again later.")
        self.under_way += 1

    def leave(self) -> None:
        """Give a place back."""
        self.under_way -= 1
