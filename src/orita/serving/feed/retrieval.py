"""The candidates of a feed: what the sources find together, each item once, new ones before those that were seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from orita.serving.feed.config import MOST_CANDIDATES, FeedConfig
from orita.serving.feed.items import Items
from orita.serving.feed.reads import Asker, FeedReads
from orita.serving.feed.sources import Popular, Source

__all__ = ["Retrieval"]

Rows = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

_DEPTHS = (1, 3, 10)  # so many times as far it looks, while the user has seen too much of what there is
_MOST_LOOKED_AT = 4 * MOST_CANDIDATES


class Retrieval:
    """Finds candidates.

    Args:
        sources: each with how many it gives at most; where they disagree about an item, the first has it.
        reads: says what a user has seen.
        config: how many are wanted, and what happens to those that were seen.
    """

    def __init__(self, sources: Sequence[tuple[Source, int]], reads: FeedReads, config: FeedConfig) -> None:
        self._sources = [(source, most) for source, most in sources if most]
        self._reads = reads
        self._wanted, self._enough = config.candidates, min(config.candidates, config.session_items)
        self._seen = config.seen

    def candidates(self, items: Items, asker: Asker) -> tuple[Rows, Flags]:
        """Return the rows of the candidates, and which of them the user has seen.

        Raises:
            Refused: 422, the time of the request is before what the store knows.
        """
        found, seen = np.zeros(0, np.intp), np.zeros(0, np.bool_)
        for depth in _DEPTHS:
            before = len(found)
            found = self._union(items, asker, depth)
            seen = self._seen_of(items, asker, found)
            if len(found) == before or np.count_nonzero(~seen) >= self._enough:
                break
        new, old = found[~seen], found[seen]
        if self._seen == "remove":
            old = old[:0]
        rows = np.concatenate([new, old])[: self._wanted]
        return rows, np.arange(len(rows)) >= len(new)

    def _union(self, items: Items, asker: Asker, depth: int) -> Rows:
        most = min(self._wanted * depth, _MOST_LOOKED_AT)
        found = [source.rows(items, asker, share * depth) for source, share in self._sources]
        every = np.concatenate([*found, Popular().rows(items, asker, most)])
        every = every[items.allowed_R[every]]
        _, first = np.unique(every, return_index=True)
        return np.asarray(every[np.sort(first)][:most])

    def _seen_of(self, items: Items, asker: Asker, found: Rows) -> Flags:
        if self._seen == "keep":
            return np.zeros(len(found), np.bool_)
        return self._reads.seen(asker, items.ids(found))
