"""What a feed keeps ready: all items, and the deployed retriever; looked after by a thread, never by a request.

A retriever is deployed as a ranker is, under the name of the system with ``-retriever`` behind it: its package lies in
the package store, a deployment in control state names its version.

Until the items are there a feed cannot be answered. So a server that starts waits for them, for a while, before it says
that it is ready: see `FeedFollower.awaited`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from orita.control.deployments import Deployments
from orita.core.checkpoints import checkpoints
from orita.core.clock import Clock, to_micros
from orita.core.errors import UserError
from orita.serving.background.leisure import Leisure
from orita.serving.background.parts import Background
from orita.serving.background.told_once import ToldOnce
from orita.serving.feed.item_reading import ItemReading
from orita.serving.feed.items import Items
from orita.serving.feed.sources import Finder

__all__ = ["FeedFollower", "RetrieverLoader", "retriever_name"]

_log = structlog.stdlib.get_logger("orita.serving")

_NOTHING_YET_SECONDS = 1.0

RetrieverLoader = Callable[[Path], Finder]
"""Loads and checks the retriever in a folder; raises `UserError` where it is damaged, or not of who is trusted."""


def retriever_name(system: str) -> str:
    """Return under which name the retriever of *system* is deployed."""
    return f"{system}-retriever"


class FeedFollower:
    """Keeps `items` and `retriever` what store and deployment say.

    Args:
        system: whose feed.
        reading: reads the items.
        deployments: name the retriever's version.
        packages: the package store.
        load: opens a retriever; None: none is looked for.
        clock: the time.
        seconds: between two looks.
        await_seconds: how long the first items are awaited.
        undisturbed: whether no request comes here yet, so that nothing need rest.

    Attributes:
        background: its thread.
        items: what requests choose from; None before they were read.
        retriever: what is deployed, as far as it could be loaded; None without one.
    """

    def __init__(
        self,
        system: str,
        reading: ItemReading,
        deployments: Deployments,
        packages: Path,
        *,
        load: RetrieverLoader | None,
        clock: Clock,
        seconds: float,
        await_seconds: float = 0.0,
        undisturbed: Callable[[], bool] = lambda: False,
    ) -> None:
        self._name = retriever_name(system)
        self._reading, self._deployments, self._packages = reading, deployments, packages
        self._load, self._clock, self._seconds = load, clock, seconds
        self._taken = 0
        self._await_seconds, self._began = await_seconds, 0.0
        self._looked = False
        self._told = ToldOnce()
        self.background = Background("what knows the items of the feed", "orita-feed", self._turn)
        self._leisure = Leisure(self.background.stopping, undisturbed)
        self.items: Items | None = None
        self.retriever: Finder | None = None

    @property
    def awaited(self) -> str | None:
        """A sentence while the first items are being read, and not for long yet; None: there is nothing to await."""
        late = self._clock.monotonic() - self._began >= self._await_seconds
        return None if self._looked or late else "the items of the feed are being read."

    @property
    def lacking(self) -> str | None:
        """A sentence where there are no items, and that is not about to change; None: there are."""
        if self.items is not None or self.awaited is not None:
            return None
        return "the feed knows no items yet: the server's log says why, or they are still being read."

    def start(self) -> None:
        """Begin to look."""
        self._began = self._clock.monotonic()
        self.background.start()

    def close(self) -> None:
        """Stop looking."""
        self.background.close()

    def look(self) -> None:
        """Look at items and retriever once."""
        self._take_items()
        self._looked = True
        if self._load is not None:
            self._take_retriever(self._load)

    def _turn(self) -> float:
        self.look()
        return self._seconds if self.items is not None else min(self._seconds, _NOTHING_YET_SECONDS)

    def _take_items(self) -> None:
        self._leisure.begin(waited_for=self.items is None)
        try:
            items = self._reading.items(to_micros(self._clock.now()), self._leisure.goes_on)
        except Exception as error:  # what is published may be broken in any way; what is known goes on
            self._told.tell("feed_items_not_read", error)
            return
        if items is not None:
            self.items = items
            self._told.over("feed_items_not_read")

    def _take_retriever(self, load: RetrieverLoader) -> None:
        try:
            deployed = self._deployments.current(self._name)
            if deployed is None or deployed.sequence == self._taken:
                self._told.over("feed_retriever_not_loaded")
                return
            self._leisure.begin(waited_for=self.retriever is None)
            with checkpoints(self._leisure.pause):
                package = load(self._packages / self._name / deployed.version)
            if package.version != deployed.version:
                raise UserError(
                    f"the package at {deployed.version!r} says it is {package.version!r}: publish it again."
                )
        except Exception as error:  # so may a retriever; the one before goes on
            self._told.tell("feed_retriever_not_loaded", error)
            return
        self.retriever, self._taken = package, deployed.sequence
        self._told.over("feed_retriever_not_loaded")
        _log.info("feed_retriever_loaded", version=package.version, type=package.type)
