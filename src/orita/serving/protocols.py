"""What the predict path needs of others: features, a model, a log. It knows nothing else of them.

Legend: N items of one request, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.events.log.log import Appended
from orita.events.prediction_segment import ScoredRequest
from orita.features.schema import FeatureSchema
from orita.models.metadata import ModelMetadata
from orita.models.objectives import Head

__all__ = [
    "FeatureReader",
    "FeatureService",
    "FeatureSource",
    "LogStream",
    "PackageLoader",
    "PredictionSink",
    "ScoringPackage",
]


class FeatureReader(Protocol):
    """Knows the features of one schema."""

    def matrix(
        self, user_id: int | str, item_ids: Sequence[int | str], context: Mapping[str, object], at: int, /
    ) -> npt.NDArray[np.float32]:
        """Return ``x_NF`` of *item_ids* for one user, as of *at* (microseconds since the Unix epoch).

        Raises:
            UserError: the request asks for what the store cannot know; it is answered with the sentence.
            Unavailable: the store cannot be read now.
        """
        ...


class FeatureSource(Protocol):
    """Where feature readers come from; `orita.features.online.following.OnlineFeatures` is one."""

    def reader(self, schema: FeatureSchema, /) -> FeatureReader:
        """Return a reader for *schema*.

        Raises:
            UserError: a feature is not known.
        """
        ...

    def refresh(self) -> bool:
        """Take up what was published since; return whether there was any. Called off the request's path.

        Raises:
            UserError: there is nothing to read from.
        """
        ...


class FeatureService(Protocol):
    """Reads features and takes events; `orita.features.api.feature_store.FeatureStore` is one. Called from threads.

    Every method raises `UserError` for what the caller can mend, `NotFound` for a name that is not declared,
    `orita.features.generations.generation.NotPublished` where there is nothing to read from.
    """

    def get_online_features(
        self,
        user_id: int | str | tuple[int | str, ...],
        item_ids: Sequence[int | str | tuple[int | str, ...]],
        /,
        *,
        context: Mapping[str, object] | None = None,
        features: Sequence[str] | None = None,
        at: int | None = None,
    ) -> pa.Table:
        """Return a row an item: its id and its features as of *at* (microseconds), by default now."""
        ...

    def get_offline_features(
        self,
        rows: Sequence[Mapping[str, object]],
        features: Sequence[str] | None = None,
        /,
        *,
        as_of: Literal["known", "event"] = "known",
    ) -> pa.Table:
        """Return *rows* with the features of each as of its own time."""
        ...

    def push_features(self, events: Sequence[Mapping[str, object]], source: str | None = None, /) -> Appended:
        """Append events to the log; return where they lie once they are durable."""
        ...


class ScoringPackage(Protocol):
    """A loaded model; `orita.models.package.Package` is one."""

    @property
    def version(self) -> str:
        """The model's version."""
        ...

    @property
    def schema(self) -> FeatureSchema:
        """The features it reads, in order."""
        ...

    @property
    def metadata(self) -> ModelMetadata:
        """The model's card."""
        ...

    @property
    def extra(self) -> Mapping[str, Any]:
        """What its writer kept beside the card."""
        ...

    @property
    def heads(self) -> Sequence[Head]:
        """What it foretells where it has several heads; empty where it has one."""
        ...

    @property
    def objective(self) -> Mapping[str, float]:
        """What one unit of each head is worth in the score; empty where it has one head."""
        ...

    def score_user(
        self,
        user_id: int | str,
        item_ids: Sequence[int | str],
        x_NF: npt.NDArray[np.float32],
        /,
        *,
        objective: Mapping[str, float] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Return ``scores_N``, click probabilities in [0, 1]; with *objective*, what items are worth by it."""
        ...

    def check_sample(self) -> None:
        """Raise `UserError` unless the package scores its own sample as it did when it was written."""
        ...


PackageLoader = Callable[[Path], ScoringPackage]
"""Loads the package in a folder; raises `UserError` when it is not whole."""


@dataclass(frozen=True, slots=True)
class LogStream:
    """What the rows of one champion share in the prediction log."""

    system: str
    model_version: str
    features: tuple[str, ...]


class PredictionSink(Protocol):
    """Takes what was answered; never blocks."""

    def room(self, rows: int, /) -> bool:
        """Return whether *rows* more rows may be logged now."""
        ...

    def append(self, stream: LogStream, request: ScoredRequest, /) -> None:
        """Take one answered request."""
        ...
