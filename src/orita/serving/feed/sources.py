"""Where candidates come from. Each source gives rows of `Items`, its best first, from memory or by one read.

Legend: V values of the topic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from orita.models.examples import Ids
from orita.serving.feed.items import Items
from orita.serving.feed.reads import Asker, FeedReads
from orita.serving.feed.rules import PinRule
from orita.serving.resilience.guard import Guard

if TYPE_CHECKING:
    from orita.models.retrieval.retriever import Retrieved

__all__ = ["DeployedRetriever", "Finder", "Newest", "Pinned", "Popular", "Source", "Topics"]

Rows = npt.NDArray[np.intp]

_NONE = np.zeros(0, np.intp)
_MOST_TOPICS = 8
_FOR_A_PIN = 5
_LOOKED_AT = 20_000  # of the most popular items, for one that a rule pins


class Source(Protocol):
    """One way to find candidates."""

    def rows(self, items: Items, asker: Asker, most: int) -> Rows:
        """Return *most* rows at most, the best first; 0 stands for an item that is not known."""
        ...


class Popular:
    """The most popular items."""

    def rows(self, items: Items, asker: Asker, most: int) -> Rows:
        """Return the most popular rows."""
        return items.popular[:most]


class Newest:
    """The newest items."""

    def rows(self, items: Items, asker: Asker, most: int) -> Rows:
        """Return the newest rows."""
        return items.newest[:most]


@dataclass(frozen=True, slots=True)
class Pinned:
    """A few popular items for each rule that pins one, so that it finds one."""

    rules: Sequence[PinRule]

    def rows(self, items: Items, asker: Asker, most: int) -> Rows:
        """Return popular rows with the values of each rule, five each."""
        popular = items.popular[:_LOOKED_AT]
        found = [popular[items.attributes[rule.attribute].among(rule.values, popular)] for rule in self.rules]
        return np.concatenate([rows[:_FOR_A_PIN] for rows in found]) if found else _NONE


@dataclass(frozen=True, slots=True)
class Topics:
    """Popular items of the topics that the user likes best, as many of each as the user likes it."""

    reads: FeedReads

    def rows(self, items: Items, asker: Asker, most: int) -> Rows:
        """Return popular rows of up to eight topics."""
        if not self.reads.knows_affinity or not items.topics:
            return _NONE
        weight_V = self.reads.affinity(asker, items.topic_ids)
        best = np.argsort(-weight_V, kind="stable")[:_MOST_TOPICS]
        best = best[weight_V[best] > 0]
        if not len(best):
            return _NONE
        counts = np.ceil(most * weight_V[best] / weight_V[best].sum()).astype(np.intp)
        return np.concatenate([items.topics[v][:count] for v, count in zip(best, counts, strict=True)])[:most]


class Finder(Protocol):
    """A retriever that is loaded; `orita.models.retrieval.package.RetrieverPackage` is one."""

    @property
    def version(self) -> str:
        """The retriever's version."""
        ...

    @property
    def type(self) -> str:
        """What it is, such as ``ease``."""
        ...

    def retrieve(self, users_Q: Ids, k: int, *, exclude_seen: bool = True) -> Retrieved:
        """Return the *k* best items of each user."""
        ...


@dataclass(frozen=True, slots=True)
class DeployedRetriever:
    """What the deployed retriever finds.

    Attributes:
        finder: returns the retriever as it is now, None without one.
        guard: leaves it alone while it fails or is slow.
        exclude_seen: whether it may leave out what it knows that the user has seen.
    """

    finder: Callable[[], Finder | None]
    guard: Guard
    exclude_seen: bool

    def rows(self, items: Items, asker: Asker, most: int) -> Rows:
        """Return the rows of what it finds; none while it fails, as other sources do without it."""
        finder = self.finder()
        if finder is None:
            return _NONE
        user = asker.user_id
        users_Q: Ids = np.array([user], np.int64) if isinstance(user, int) else np.array([user], np.object_)
        try:
            found = self.guard.call(finder.retrieve, users_Q, most, exclude_seen=self.exclude_seen)
        except Exception:  # a retriever may be anybody's; its guard tells the log when it is left alone
            return _NONE
        return items.rows(found.of(0)[0])
