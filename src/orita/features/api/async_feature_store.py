"""The feature store, to be awaited: the work is done in threads.

store = AsyncFeatureStore(FeatureStore(home, feed))
await store.get_online_features(1, [7, 8])
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from orita.events.log.log import Appended
from orita.features.api.feature_store import FeatureStore, Rows
from orita.features.online.keys import Id

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["AsyncFeatureStore"]


class AsyncFeatureStore:
    """See `FeatureStore`; every method has the same arguments, result and errors."""

    def __init__(self, store: FeatureStore) -> None:
        self.store = store

    async def get_offline_features(
        self,
        rows: Rows,
        features: Sequence[str] | None = None,
        *,
        as_of: Literal["known", "event"] = "known",
        spark: SparkSession | None = None,
    ) -> pa.Table:
        """See `FeatureStore.get_offline_features`."""
        return await asyncio.to_thread(self.store.get_offline_features, rows, features, as_of=as_of, spark=spark)

    async def get_online_features(
        self,
        user_id: Id,
        item_ids: Sequence[Id],
        *,
        context: Mapping[str, object] | None = None,
        features: Sequence[str] | None = None,
        at: int | None = None,
    ) -> pa.Table:
        """See `FeatureStore.get_online_features`."""
        return await asyncio.to_thread(
            self.store.get_online_features, user_id, item_ids, context=context, features=features, at=at
        )

    async def push_features(self, events: Rows, source: str | None = None) -> Appended:
        """See `FeatureStore.push_features`."""
        return await asyncio.to_thread(self.store.push_features, events, source)
