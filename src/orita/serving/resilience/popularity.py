"""Level 3 of a running server: the click rates that its online store counts, taken over in the background.

A thread reads them every minute, so that they are at hand when the store is not. A table from the configuration goes
before them and is read once; a system that declares no click rate of items has neither, and its third level is passed
over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import structlog

from orita.features.online.item_rates import ItemRates
from orita.serving.leisure import Leisure
from orita.serving.resilience.fallbacks import PopularityTable

__all__ = ["Popularity", "RateSource"]

_log = structlog.stdlib.get_logger("orita.serving")

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
    """

    def __init__(
        self, table: PopularityTable | None = None, source: RateSource | None = None, seconds: float = 60.0
    ) -> None:
        self.table = table
        self._source = source if table is None else None
        self._seconds = seconds
        self._failing = False
        self._stopping = threading.Event()
        self._leisure = Leisure(self._stopping)
        self._thread = threading.Thread(target=self._run, name="orita-popularity", daemon=True)

    def start(self) -> None:
        """Begin to look, where there is something to look at."""
        if self._source is not None:
            self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> bool:
        """Take up what the source counts now; return whether it is worth another look. What fails changes nothing."""
        assert self._source is not None
        try:
            self._leisure.begin()
            rates = self._source.item_rates(self._leisure.goes_on)
        except Exception as error:  # a store may fail in any way; what was read before goes on
            if not self._failing and self.table is not None:  # before the first, the follower says what is missing
                _log.warning("popularity_not_read", error=str(error))
            self._failing = True
            return True
        self._failing = False
        if rates is None:
            return False
        if len({type(item) for item in rates.item_ids}) == 1:
            self.table = PopularityTable.of(rates.item_ids, rates.chosen_N, rates.shown_N)
        return True

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds if self.table is not None else _FIRST_SECONDS):
            if not self.look():
                return
