"""Guards around what answers a prediction: the store of features and the model, each with a breaker and a bulkhead.

    features = GuardedFeatures(features, Guard("store", config.store, clock))
    load = guarded_loader(load, lambda: Guard("model", config.model, clock))

A guard is called by one thread. So a model has a guard of its own: it is tried by the thread that loads it before it
answers, and a broken one must not close the door on the one before. What is asked in threads, the event log and the
queue of jobs, is guarded by `orita.serving.resilience.guarded_threads`.

Legend: N items of one request, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.features.schema import FeatureSchema
from orita.serving.batching.measuring import ScoreRequests, joint_scores_of
from orita.serving.protocols import FeatureReader, FeatureSource, PackageLoader, ScoringPackage
from orita.serving.resilience.guard import Guard

__all__ = ["GuardedFeatures", "GuardedPackage", "guarded_loader", "unguarded"]

Id = int | str


class GuardedFeatures:
    """A `FeatureSource` whose readers are called through a guard, which all of them share: they read one store."""

    def __init__(self, features: FeatureSource, guard: Guard) -> None:
        self._features, self._guard = features, guard

    def reader(self, schema: FeatureSchema, /) -> FeatureReader:
        """Return a reader for *schema*."""
        return _GuardedReader(self._features.reader(schema), self._guard)

    def refresh(self) -> bool:
        """Take up what was published since; called by the follower's thread, and not guarded."""
        return self._features.refresh()


class _GuardedReader:
    def __init__(self, reader: FeatureReader, guard: Guard) -> None:
        self.reader, self._matrix, self._guard = reader, reader.matrix, guard

    def matrix(
        self, user_id: Id, item_ids: Sequence[Id], context: Mapping[str, object], at: int, /
    ) -> npt.NDArray[np.float32]:
        return self._guard.call(self._matrix, user_id, item_ids, context, at)


class GuardedPackage:
    """A package whose `score_user` is called through a guard; all else is the package's own.

    Attributes:
        guard: of this package alone.
        score_requests: the package's own through the guard; None: it has none.
    """

    def __init__(self, package: ScoringPackage, guard: Guard) -> None:
        self._package, self._score_user, self.guard = package, package.score_user, guard
        # Read for every request: found here they cost nothing, asked of the package by name they would.
        self.version, self.schema = package.version, package.schema
        self.metadata, self.extra = package.metadata, package.extra
        joint = joint_scores_of(package)
        self.score_requests = None if joint is None else _guarded(joint, guard)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._package, name)

    def check_sample(self) -> None:
        """Raise `UserError` unless the package scores its own sample as it did when it was written."""
        self._package.check_sample()

    def ping(self) -> None:
        """Score a row without features, past the guard; for whoever asks whether the model is back.

        Raises:
            ValueError: the score is no number.
            Exception: the model fails as it does.
        """
        score_N = self._score_user(0, [0], np.zeros((1, len(self.schema)), np.float32))
        if not np.isfinite(score_N).all():
            raise ValueError(f"model {self.version} gave a score that is no number.")

    def score_user(
        self, user_id: Id, item_ids: Sequence[Id], x_NF: npt.NDArray[np.float32], /, **options: Any
    ) -> npt.NDArray[np.float32]:
        """Return ``scores_N``; see the protocol. *options* are the package's own."""
        return self.guard.call(self._score_user, user_id, item_ids, x_NF, **options)


def _guarded(score: ScoreRequests, guard: Guard) -> ScoreRequests:
    def guarded(*asked: Any) -> npt.NDArray[np.float32]:
        return guard.call(score, *asked)

    return guarded


def guarded_loader(load: PackageLoader, make_guard: Callable[[], Guard]) -> PackageLoader:
    """Return a loader whose packages score through a guard each, which *make_guard* makes."""

    def load_guarded(folder: Path) -> ScoringPackage:
        return GuardedPackage(load(folder), make_guard())

    return load_guarded


def unguarded(reader: FeatureReader) -> FeatureReader:
    """Return what a guarded reader calls; for whoever asks whether the store is back."""
    return reader.reader if isinstance(reader, _GuardedReader) else reader
