"""A sample of pages that does not grow beyond its bound, the same one whatever the order in which they come.

Legend: N pages, G distinct requests.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from orita.delivery.ope.pages import LoggedPages
from orita.monitoring.sample import hashed_ids

__all__ = ["PageSample"]


class PageSample:
    """The answers with the lowest digests of their ids.

    Args:
        most: so many of them.
    """

    def __init__(self, most: int) -> None:
        self._most, self._below = most, np.iinfo(np.int64).max
        self._parts: list[LoggedPages] = []

    def wanted(self, rows: pa.Table) -> pa.Table:
        """Return the *rows* of answers that may still be kept."""
        if self._below == np.iinfo(np.int64).max:
            return rows
        return rows.filter(pa.array(hashed_ids(rows["request_id"]) < self._below))

    def add(self, pages: LoggedPages) -> None:
        """Keep *pages*; where there are twice too many by now, only the lowest."""
        self._parts.append(pages)
        if sum(map(len, self._parts)) > 2 * self._most:
            self._parts = [self._lowest(LoggedPages.joined(self._parts))]
            self._below = int(self._parts[0].request_N.max()) + 1

    def pages(self) -> tuple[LoggedPages | None, int]:
        """Return what is kept, and how many answers were left out as their id is not their own."""
        if not self._parts:
            return None, 0
        pages = LoggedPages.joined(self._parts)
        _, group_N, count_G = np.unique(pages.request_N, return_inverse=True, return_counts=True)
        alone_N = count_G[group_N] == 1
        pages = pages.take(alone_N)
        return (self._lowest(pages) if len(pages) else None), int((~alone_N).sum())

    def _lowest(self, pages: LoggedPages) -> LoggedPages:
        if len(pages) <= self._most:
            return pages
        highest = np.partition(pages.request_N, self._most - 1)[self._most - 1]
        return pages.take(pages.request_N <= highest)  # answers that share an id go together
