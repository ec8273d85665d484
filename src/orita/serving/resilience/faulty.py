"""Faults around the protocols of the server; whoever wires it puts these on only where there are faults to inject.

    faults = Faults(config.faults, clock, os.environ)
    features = FaultyFeatures(features, faults) if faults else features
    load = faulty_loader(load, faults) if faults else load
    log = FaultySink(log, faults) if faults else log
    store = FaultyFeatureService(store, faults) if faults and store else store

Legend: N items of one request, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.core.errors import Unavailable
from orita.events.log.log import Appended
from orita.events.prediction_segment import ScoredRequest
from orita.features.schema import FeatureSchema
from orita.serving.protocols import (
    FeatureReader,
    FeatureService,
    FeatureSource,
    LogStream,
    PackageLoader,
    PredictionSink,
    ScoringPackage,
)
from orita.serving.resilience.faults import Faults, Injected

__all__ = ["FaultyFeatureService", "FaultyFeatures", "FaultySink", "faulty_loader"]

Id = int | str


class FaultyFeatures:
    """A `FeatureSource` whose readers have the faults of the part ``store``."""

    def __init__(self, features: FeatureSource, faults: Faults) -> None:
        self._features, self._faults = features, faults

    def reader(self, schema: FeatureSchema, /) -> FeatureReader:
        """Return a reader for *schema*."""
        return _FaultyReader(self._features.reader(schema), self._faults)

    def refresh(self) -> bool:
        """Take up what was published since; a drill is about requests, so this has no faults."""
        return self._features.refresh()


class _FaultyReader:
    def __init__(self, reader: FeatureReader, faults: Faults) -> None:
        self._reader, self._faults = reader, faults

    def matrix(
        self, user_id: Id, item_ids: Sequence[Id], context: Mapping[str, object], at: int, /
    ) -> npt.NDArray[np.float32]:
        lost = self._faults.strike("store")
        x_NF = self._reader.matrix(user_id, item_ids, context, at)
        if lost:
            raise _lost("store")
        return x_NF


class _FaultyPackage:
    """A package whose scoring has the faults of the part ``model``; all else is the package's own."""

    def __init__(self, package: ScoringPackage, faults: Faults) -> None:
        self._package, self._faults = package, faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._package, name)

    def score_user(
        self, user_id: Id, item_ids: Sequence[Id], x_NF: npt.NDArray[np.float32], /, **options: Any
    ) -> npt.NDArray[np.float32]:
        self._faults.strike("model")
        return self._package.score_user(user_id, item_ids, x_NF, **options)

    score_requests = None  # each request is struck for itself


def faulty_loader(load: PackageLoader, faults: Faults) -> PackageLoader:
    """Return a loader whose packages have the faults of the part ``model``."""

    def load_faulty(folder: Path) -> ScoringPackage:
        # What a package has beside the protocol is passed on by name, which no type can say.
        return cast(ScoringPackage, _FaultyPackage(load(folder), faults))

    return load_faulty


class FaultySink:
    """A `PredictionSink` with the faults of the part ``log``: an error is a log without room.

    A request is struck when it asks for room. Between that and its rows others may come, so losses are counted: as many
    requests are lost as were struck.
    """

    def __init__(self, sink: PredictionSink, faults: Faults) -> None:
        self._sink, self._faults = sink, faults
        self._to_lose = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sink, name)

    def room(self, rows: int, /) -> bool:
        """Return whether *rows* more rows may be logged now."""
        try:
            self._to_lose += self._faults.strike("log")
        except Injected:
            return False
        return self._sink.room(rows)

    def append(self, stream: LogStream, request: ScoredRequest, /) -> None:
        """Take one answered request, unless the drill loses it."""
        if self._to_lose:
            self._to_lose -= 1
        else:
            self._sink.append(stream, request)


class FaultyFeatureService:
    """A `FeatureService` whose pushes have the faults of the part ``broker``, and whose reads those of ``store``."""

    def __init__(self, service: FeatureService, faults: Faults) -> None:
        self._service, self._faults = service, faults

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
        lost = self._faults.strike("store")
        table = self._service.get_online_features(user_id, item_ids, context=context, features=features, at=at)
        if lost:
            raise _lost("store")
        return table

    def get_offline_features(
        self,
        rows: Sequence[Mapping[str, object]],
        features: Sequence[str] | None = None,
        /,
        *,
        as_of: Literal["known", "event"] = "known",
    ) -> pa.Table:
        """Return *rows* with their features; the lake has no faults."""
        return self._service.get_offline_features(rows, features, as_of=as_of)

    def push_features(self, events: Sequence[Mapping[str, object]], source: str | None = None, /) -> Appended:
        """Append events; where the drill loses the answer they are appended all the same."""
        lost = self._faults.strike("broker")
        appended = self._service.push_features(events, source)
        if lost:
            raise _lost("broker")
        return appended


def _lost(part: str) -> Unavailable:
    return Injected(f"serving.faults lost the answer of the {part}: remove the rule to end the drill.")
