"""Events that are pushed to a server let go of what its cache says of their users and items."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import pyarrow as pa

from orita.core.errors import UserError
from orita.events.log.log import Appended
from orita.features.declarations import Entity, Source
from orita.features.system import System
from orita.serving.cache.keys import item_tag, user_tag
from orita.serving.cache.predictions import PredictionCache
from orita.serving.protocols import FeatureService

__all__ = ["Declared", "IdColumns", "InvalidatingFeatureService", "id_columns"]

Id = int | str


@runtime_checkable
class Declared(Protocol):
    """Knows what was declared; `orita.features.api.feature_store.FeatureStore` does."""

    system: System

    def source(self, name: str | None = None, /) -> Source:
        """Return a source of the system, by default the one that it learns from."""
        ...


class IdColumns(NamedTuple):
    """The columns of events that hold the id of the user and of the item, None where none does."""

    user: str | None
    item: str | None


def id_columns(store: FeatureService, source: str | None) -> IdColumns:
    """Return where events of *source* hold ids: as it was declared, ``user_id`` and ``item_id`` where nothing was.

    Raises:
        NotFound: the system reads no such source.
    """
    if not isinstance(store, Declared):
        return IdColumns("user_id", "item_id")
    found = store.source(source)
    return IdColumns(_column(found, store.system.user), _column(found, store.system.item))


class InvalidatingFeatureService:
    """A `FeatureService` whose pushes invalidate; called from threads, while the loop of *cache* runs.

    Args:
        service: takes the events.
        cache: of the server that is pushed to; in Redis that of all replicas.
        columns: tells where the events of a source hold ids.
    """

    def __init__(
        self,
        service: FeatureService,
        cache: PredictionCache,
        columns: Callable[[str | None], IdColumns],
    ) -> None:
        self._service, self._cache, self._columns = service, cache, columns

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
        user, item = self._columns(source)
        tags = {user_tag(event[user]) for event in events if event.get(user) is not None} if user else set()
        tags |= {item_tag(event[item]) for event in events if event.get(item) is not None} if item else set()
        if tags:
            self._cache.changed_in_thread(tags)
        return appended


def _column(source: Source, entity: Entity) -> str | None:
    """Return the column of *source* that is the key of *entity*; requests name none whose key is of several."""
    try:
        columns = source.key_columns(entity)
    except UserError:
        return None
    return columns[0] if len(columns) == 1 else None
