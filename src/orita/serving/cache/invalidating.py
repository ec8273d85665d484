"""Events that are pushed to a server let go of what its cache says of their users and items."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal

import pyarrow as pa

from orita.events.log.log import Appended
from orita.serving.cache.keys import item_tag, user_tag
from orita.serving.cache.predictions import PredictionCache
from orita.serving.protocols import FeatureService

__all__ = ["InvalidatingFeatureService", "LoopOfServer"]

_PATIENT_SECONDS = 1.0

Id = int | str


class LoopOfServer:
    """Knows the event loop of the server, as soon as it runs.

    Attributes:
        loop: it, None before.
    """

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None


class InvalidatingFeatureService:
    """A `FeatureService` whose pushes invalidate; called from threads, while the loop of *cache* runs.

    Args:
        service: takes the events.
        cache: of the server that is pushed to; in Redis that of all replicas.
        server: knows that loop.
        user, item: the columns of events that hold these ids.
    """

    def __init__(
        self,
        service: FeatureService,
        cache: PredictionCache,
        server: LoopOfServer,
        *,
        user: str = "user_id",
        item: str = "item_id",
    ) -> None:
        self._service, self._cache, self._server = service, cache, server
        self._user, self._item = user, item

    def get_online_features(
        self,
        user_id: Id | tuple[Id, ...],
        item_ids: Sequence[Id | tuple[Id, ...]],
        /,
        *,
        context: Mapping[str, object] | None = None,
        features: Sequence[str] | None = None,
        at: int | None = None,
    ) -> pa.Table:
        """Return a row an item; see the protocol."""
        return self._service.get_online_features(user_id, item_ids, context=context, features=features, at=at)

    def get_offline_features(
        self,
        rows: Sequence[Mapping[str, object]],
        features: Sequence[str] | None = None,
        /,
        *,
        as_of: Literal["known", "event"] = "known",
    ) -> pa.Table:
        """Return *rows* with their features."""
        return self._service.get_offline_features(rows, features, as_of=as_of)

    def push_features(self, events: Sequence[Mapping[str, object]], source: str | None = None, /) -> Appended:
        """Append events, then let the cache go of their users and items; what it does not take now it takes later."""
        appended = self._service.push_features(events, source)
        tags = {user_tag(_id(event[self._user])) for event in events if self._user in event}
        tags |= {item_tag(_id(event[self._item])) for event in events if self._item in event}
        if (loop := self._server.loop) is not None and tags:
            done = asyncio.run_coroutine_threadsafe(self._cache.invalidate(tags), loop)
            done.result(timeout=_PATIENT_SECONDS + 1)
        return appended


def _id(value: object) -> Id:
    return value if isinstance(value, int) else str(value)
