"""What a feed keeps ready: all items, and the deployed retriever; looked after by a thread, never by a request.

A retriever is deployed as a ranker is, under the name of the system with ``-retriever`` behind it: its package lies in
the package store, a deployment in control state names its version.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from orita.control.deployments import Deployments
from orita.core.clock import Clock, to_micros
from orita.core.errors import OritaError, UserError
from orita.serving.feed.item_reading import ItemReading
from orita.serving.feed.items import Items
from orita.serving.feed.sources import Finder
from orita.serving.leisure import Leisure

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

    Attributes:
        items: what requests choose from; None before they were read.
        retriever: what is deployed, as far as it could be loaded; None without one.
    """

    name = "what knows the items of the feed"

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
    ) -> None:
        self._name = retriever_name(system)
        self._reading, self._deployments, self._packages = reading, deployments, packages
        self._load, self._clock, self._seconds = load, clock, seconds
        self._taken = 0
        self._told: set[str] = set()
        self._stopping = threading.Event()
        self._leisure = Leisure(self._stopping)
        self._thread = threading.Thread(target=self._run, name="orita-feed", daemon=True)
        self.items: Items | None = None
        self.retriever: Finder | None = None

    @property
    def alive(self) -> bool:
        """Whether it goes on looking."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._stopping.set()
        self._thread.join()

    def look(self) -> None:
        """Look at items and retriever once."""
        self._take_items()
        if self._load is not None:
            self._take_retriever(self._load)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.look()
            self._stopping.wait(self._seconds if self.items is not None else min(self._seconds, _NOTHING_YET_SECONDS))

    def _take_items(self) -> None:
        self._leisure.begin(waited_for=self.items is None)
        try:
            items = self._reading.items(to_micros(self._clock.now()), self._leisure.goes_on)
        except Exception as error:  # what is published may be broken in any way; what is known goes on
            self._tell_once("feed_items_not_read", error)
            return
        if items is not None:
            self.items = items
            self._forget("feed_items_not_read")

    def _take_retriever(self, load: RetrieverLoader) -> None:
        try:
            deployed = self._deployments.current(self._name)
            if deployed is None or deployed.sequence == self._taken:
                return
            package = load(self._packages / self._name / deployed.version)
            if package.version != deployed.version:
                raise UserError(
                    f"the package at {deployed.version!r} says it is {package.version!r}: publish it again."
                )
        except (SQLAlchemyError, OSError, OritaError) as error:
            self._tell_once("feed_retriever_not_loaded", error)
            return
        self.retriever, self._taken = package, deployed.sequence
        self._forget("feed_retriever_not_loaded")
        _log.info("feed_retriever_loaded", version=package.version, type=package.type)

    def _tell_once(self, event: str, error: Exception) -> None:
        told = f"{event} {error}"
        if told not in self._told:
            self._told.add(told)
            _log.error(event, alert=True, error=str(error))

    def _forget(self, event: str) -> None:
        self._told = {told for told in self._told if not told.startswith(event)}
