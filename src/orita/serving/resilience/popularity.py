"""Level 3 of a running server: the click rates that its online store counts, taken over in the background.

A thread reads them every minute, so that they are at hand when the store is not. The feed reads all items anyway, and
supplies them: then nothing is read twice. A table from the configuration goes before them and is read once; a system
that declares no click rate of items has neither, and its third level is passed over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from orita.features.online.item_rates import ItemRates
from orita.serving.background.leisure import Leisure
from orita.serving.background.parts import Background
from orita.serving.background.told_once import ToldOnce
from orita.serving.resilience.fallbacks import PopularityTable

__all__ = ["Popularity", "RateSource"]

_FIRST_SECONDS = 1.0
"""Between two looks as long as there is nothing yet."""


@runtime_checkable
class RateSource(Protocol):
    """Counts items; `orita.features.online.following.OnlineFeatures` does."""

    def item_rates(self, goes_on: Callable[[], bool], /) -> ItemRates | None:
        """Return how often each item was shown and chosen, None where nobody counts that."""
        ...


class Popularity:
    """What level 3 answers from.

    Args:
        table: from the configuration, None: there is none.
        source: what counts items, None: nothing does.
        seconds: between two looks at it.

    Attributes:
        table: what is known now, None: nothing.
        background: its thread.
        supplied: whether `supply` is going to be called, so that the first look is left to who calls it.
    """

    def __init__(
        self, table: PopularityTable | None = None, source: RateSource | None = None, seconds: float = 60.0
    ) -> None:
        self.table = table
        self.supplied = False
        self._source = source if table is None else None
        self._seconds = seconds
        self._looked = time.monotonic()
        self._told = ToldOnce()
        self.background = Background("what knows the popularity of items", "orita-popularity", self._turn)
        self._leisure = Leisure(self.background.stopping)

    def start(self) -> None:
        """Begin to look, where there is something to look at."""
        if self._source is not None:
            self.background.start(rest=self._rest())

    def close(self) -> None:
        """Stop looking."""
        self.background.close()

    def look(self) -> bool:
        """Take up what the source counts now; return whether it is worth another look. What fails changes nothing."""
        assert self._source is not None
        try:
            self._leisure.begin()
            rates = self._source.item_rates(self._leisure.goes_on)
        except Exception as error:  # a store may fail in any way; what was read before goes on
            if self.table is not None:  # before the first, the follower says what is missing
                self._told.tell("popularity_not_read", error, alert=False)
            self._looked = time.monotonic()
            return True
        self._told.over("popularity_not_read")
        if rates is None:
            return False
        self._take(rates)
        return True

    def supply(self, rates: ItemRates | None) -> None:
        """Take up *rates* that somebody else has just read; None: they are as they were. From any thread."""
        if self._source is None:
            return
        if rates is None:
            self._looked = time.monotonic()
        else:
            self._take(rates)

    def _take(self, rates: ItemRates) -> None:
        if len(rates.ids_N):
            self.table = PopularityTable.of(rates.ids_N, rates.chosen_N, rates.shown_N)
        self._looked = time.monotonic()

    def _turn(self) -> float | None:
        if self._rest() <= 0 and not self.look():
            return None
        return max(0.0, self._rest())

    def _rest(self) -> float:
        """Return in how many seconds to look."""
        seconds = self._seconds if self.table is not None or self.supplied else min(self._seconds, _FIRST_SECONDS)
        return self._looked + seconds - time.monotonic()
