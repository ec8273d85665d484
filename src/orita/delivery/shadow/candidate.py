"""The candidate itself: a verified package, and how the features of a request that was answered before are found.

What the log has it need not read again, and it is just what the champion saw: a feature is taken from there if the
champion's package declares it as the candidate's does. Others are read from the online store, for the time of the
request; of its context the log has only what is a feature.

Legend: N items of one request, F features of the candidate, L features in the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from orita.core.errors import OritaError, UserError
from orita.features.schema import FeatureColumn, FeatureSchema

__all__ = ["Asked", "Candidate", "Failed", "OpenCandidate", "Scored", "opened_candidate"]

Floats = npt.NDArray[np.float32]

_REFRESH_SECONDS = 5.0
_LONGEST_MESSAGE = 300


@dataclass(frozen=True, slots=True)
class Asked:
    """An answered request that the candidate is to score.

    Attributes:
        user_id, item_ids: as they were asked.
        as_of_micros: the time that its features were for.
        answered_by: the version that answered.
        features: L names.
        x_NL: what the log has of them.
        objective: what one unit of each head was worth, where the request weighed them.
    """

    user_id: int | str
    item_ids: Sequence[int | str]
    as_of_micros: int
    answered_by: str
    features: tuple[str, ...]
    x_NL: Floats
    objective: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """What the candidate says.

    Attributes:
        scores_N: finite.
        milliseconds: that scoring took, features not included.
        cpu_milliseconds: of processor time, which others at work do not lengthen.
        features_from: ``log``, ``store`` (some of them), or ``store_without_context``: some that depend on the context
            of the request, which nobody knows any more.
    """

    scores_N: Floats
    milliseconds: float
    cpu_milliseconds: float
    features_from: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Why it says nothing: a kind, such as the name of an exception, and a sentence."""

    kind: str
    message: str


class ScoringPackage(Protocol):
    """A loaded model; see `orita.models.package.Package`."""

    @property
    def version(self) -> str:
        """Its version."""
        ...

    @property
    def schema(self) -> FeatureSchema:
        """The features that it reads."""
        ...

    @property
    def score_user(self) -> Callable[..., Floats]:
        """Scores the items of one user."""
        ...

    def check_sample(self) -> None:
        """Refuse to score otherwise than when it was written."""
        ...


class Reader(Protocol):
    """Reads features of one schema; see `orita.features.online.reader.OnlineReader`."""

    def matrix(
        self, user_id: int | str, item_ids: Sequence[int | str], context: Mapping[str, object], at: int, /
    ) -> Floats:
        """Return a row an item."""
        ...


class Features(Protocol):
    """Where features are read; see `orita.features.online.following.OnlineFeatures`."""

    def refresh(self) -> bool:
        """Take up what was published since."""
        ...

    def reader(self, schema: FeatureSchema, /) -> Reader:
        """Return what reads the columns of *schema*."""
        ...


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where the features of the candidate come from, for the answers of one version: columns, and who reads the rest.

    Attributes:
        to_F, from_L: columns of the candidate, and of the log, which are the same.
        rest_F: columns that are read.
        reader: reads them, None where the log has all.
        told: as `Scored.features_from`.
    """

    to_F: list[int]
    from_L: list[int]
    rest_F: list[int]
    reader: Reader | None
    told: str


@dataclass(slots=True)
class Candidate:
    """Scores requests that were answered.

    Attributes:
        package: the model.
        schema_of: the features that a version reads; it raises where nobody knows.
        features: where features are read that the log has not; None: such a request cannot be scored.
    """

    package: ScoringPackage
    schema_of: Callable[[str], FeatureSchema]
    features: Callable[[], Features] | None = None
    _opened: Features | None = None
    _refreshed: float = 0.0
    _origins: dict[tuple[str, tuple[str, ...]], _Origin] = field(default_factory=dict)

    def score(self, asked: Asked) -> Scored | Failed:
        """Return what it says of *asked*; nothing that a model does raises."""
        try:
            x_NF, told = self._matrix(asked)
        except (OritaError, OSError) as error:
            return Failed("features_not_read", _sentence(error))
        weights = {} if asked.objective is None else {"objective": dict(asked.objective)}
        began, cpu = time.perf_counter(), time.process_time()
        try:
            scores_N = self.package.score_user(asked.user_id, list(asked.item_ids), x_NF, **weights)
        except Exception as error:  # what a candidate may do is what is to be found out
            return Failed(type(error).__name__, _sentence(error))
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        if scores_N.shape != (len(asked.item_ids),):
            return Failed("wrong_shape", f"{len(asked.item_ids)} items have scores of the shape {scores_N.shape}")
        if not np.isfinite(scores_N).all():
            return Failed("no_number", f"{int((~np.isfinite(scores_N)).sum())} scores are no numbers")
        return Scored(scores_N.astype(np.float32, copy=False), took * 1000, cpu * 1000, told)

    def _matrix(self, asked: Asked) -> tuple[Floats, str]:
        key = (asked.answered_by, asked.features)
        origin = self._origins.get(key)
        if origin is None:
            origin = self._origins[key] = self._origin(asked)
        x_NF = np.full((len(asked.item_ids), len(self.package.schema)), np.nan, np.float32)
        x_NF[:, origin.to_F] = asked.x_NL[:, origin.from_L]
        if origin.reader is not None:
            self._refresh()
            read = origin.reader.matrix(asked.user_id, asked.item_ids, {}, asked.as_of_micros)
            x_NF[:, origin.rest_F] = read
        return x_NF, origin.told

    def _origin(self, asked: Asked) -> _Origin:
        known = self._known(asked.answered_by)
        place = {name: at for at, name in enumerate(asked.features)}
        columns = self.package.schema.columns
        to_F = [f for f, column in enumerate(columns) if column.name in place and _alike(column, known)]
        from_L = [place[columns[f].name] for f in to_F]
        rest_F = [f for f in range(len(columns)) if f not in set(to_F)]
        if not rest_F:
            return _Origin(to_F, from_L, [], None, "log")
        lacking = FeatureSchema(tuple(columns[f] for f in rest_F))
        reader = self._store(lacking).reader(lacking)
        told = "store_without_context" if lacking.of_side("context") else "store"
        return _Origin(to_F, from_L, rest_F, reader, told)

    def _known(self, version: str) -> dict[str, FeatureColumn]:
        if version == self.package.version:
            return {column.name: column for column in self.package.schema.columns}
        try:
            return {column.name: column for column in self.schema_of(version).columns}
        except (OritaError, OSError):  # it may be gone: then nobody knows what its features meant
            return {}

    def _store(self, lacking: FeatureSchema) -> Features:
        if self.features is None:
            raise UserError(f"the log has not {', '.join(lacking.names[:5])}, and there is no store to read them from.")
        if self._opened is None:
            self._opened = self.features()
            self._opened.refresh()
            self._refreshed = time.monotonic()
        return self._opened

    def _refresh(self) -> None:
        if self._opened is not None and time.monotonic() - self._refreshed > _REFRESH_SECONDS:
            self._refreshed = time.monotonic()
            self._opened.refresh()


OpenCandidate = Callable[[str], Candidate]
"""Opens a version; it is sent to another process, so it must be a function of a module or an object of such a class."""


def opened_candidate(
    load: Callable[[Path], ScoringPackage],
    folder: Path,
    schema_of: Callable[[str], FeatureSchema],
    features: Callable[[], Features] | None = None,
) -> Candidate:
    """Return the candidate in *folder*, after it scored its own sample as it did when it was written.

    Args:
        load: opens a package.
        folder: its place in the package store, whose name is its version.
        schema_of, features: as `Candidate` has them; *features* is opened when something is to be read there.

    Raises:
        UserError: it is not whole, is another version, or scores otherwise.
    """
    package = load(folder)
    if package.version != folder.name:
        raise UserError(f"the package at {folder.name!r} says it is {package.version!r}: publish it again.")
    package.check_sample()
    return Candidate(package, schema_of, features)


def _alike(column: FeatureColumn, known: Mapping[str, FeatureColumn]) -> bool:
    """Tell whether the version that answered means the same by the name."""
    other = known.get(column.name)
    return other is not None and (other.side, other.kind, other.cardinality, other.meaning) == (
        column.side,
        column.kind,
        column.cardinality,
        column.meaning,
    )


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())[:_LONGEST_MESSAGE]
