"""Figures of the prediction log by model version, segment and slice of time; and what is expected where labels lack.

Legend: P predictions, J joined rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.clock import from_micros, to_micros
from orita.core.errors import NotFound, UserError, closest
from orita.monitoring.config import PerformanceConfig
from orita.monitoring.feedback import Attribution, JoinCounts, JoinedFeedback, join_feedback
from orita.monitoring.model_quality.estimation import Estimated, PerformanceEstimator, fit_estimator
from orita.monitoring.model_quality.figures import Figures, figures_of
from orita.monitoring.profiles.profiler import slice_shift

__all__ = ["ModelQuality", "Part", "model_quality"]

Codes = npt.NDArray[np.int64]

_MOST_SEGMENTS = 50
_MOST_PARTS = 10_000
_FEW_VALUES, _QUARTERS = 12, (0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one version, segment and slice of time.

    Attributes:
        model_version: whose.
        segment: which; None: all.
        start: of the slice; None: all times.
        figures: measured.
        estimated: expected of all rows of the part, answered or not; None where nothing is to be estimated.
        note: why nothing is.
    """

    model_version: str
    segment: str | None
    start: datetime | None
    figures: Figures
    estimated: Estimated | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class ModelQuality:
    """What became of predictions.

    Attributes:
        parts: each version as a whole, then by segment, then by slice, then by both.
        joined: what matched and what did not.
        by: what segments are of, None without.
        every: length of the slices, None without.
    """

    parts: tuple[Part, ...]
    joined: JoinCounts
    by: str | None
    every: timedelta | None

    def of(self, *, segments: bool, slices: bool) -> list[Part]:
        """Return the parts that have a segment or not, and a slice or not."""
        return [p for p in self.parts if (p.segment is not None, p.start is not None) == (segments, slices)]


@dataclass(frozen=True, slots=True)
class _Rows:
    """All predictions by what they are cut by, and which of them are joined."""

    version_P: npt.NDArray[np.str_]
    user_P: Codes
    score_P: npt.NDArray[np.float64]
    segment_P: npt.NDArray[np.str_]
    slice_P: Codes
    joined: JoinedFeedback


def model_quality(
    predictions: pa.Table,
    feedback: pa.Table,
    config: PerformanceConfig,
    *,
    attribution: Attribution | None = None,
    by: str | None = None,
    every: timedelta | None = None,
    estimate: bool = False,
) -> ModelQuality:
    """Measure what was served, whole and in parts.

    Args:
        predictions: the prediction log (contract §4).
        feedback: interactions that carry ``request_id``, ``item_id``, ``click``.
        config: from how many rows figures are told.
        attribution: which answers count.
        by: a column of the log (``variant``), or a feature (``features.device_mobile``). A number with more than 12
            values is cut at its quartiles.
        every: length of slices of time.
        estimate: also estimate each slice from what was known of the same version when it began: from predictions
            whose window was over by then. The first ones, and parts without slices, have nothing before them.

    Raises:
        NotFound: a column is absent.
        UserError: *by* has more than 50 values that are no numbers, or there would be more than 10,000 parts.
    """
    joined = join_feedback(predictions, feedback, attribution)
    rows = _Rows(
        np.asarray(predictions.column("model_version").cast(pa.string()).fill_null("").to_pylist(), np.str_),
        _codes(predictions, "user_id" if "user_id" in predictions.column_names else "request_id"),
        np.asarray(predictions.column("score").cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64),
        _segments(predictions, by),
        _slices(predictions, every),
        joined,
    )
    parts = [
        part
        for version in np.unique(rows.version_P[rows.version_P != ""])
        for part in _parts(rows, str(version), by is not None, every, config)
    ]
    if len(parts) > _MOST_PARTS:
        raise UserError(f"there are {len(parts):,} parts, allowed are {_MOST_PARTS:,}: choose longer slices.")
    if estimate:
        parts = list(_estimated(rows, parts, config, attribution or Attribution()))
    return ModelQuality(tuple(parts), joined.counts, by, every)


def _parts(
    rows: _Rows, version: str, segmented: bool, every: timedelta | None, config: PerformanceConfig
) -> Iterator[Part]:
    mine_P = rows.version_P == version
    segments = [None, *map(str, np.unique(rows.segment_P[mine_P]))] if segmented else [None]
    slices = [None, *np.unique(rows.slice_P[mine_P]).tolist()] if every is not None else [None]
    for at in slices:
        for segment in segments:
            chosen_J = _chosen(rows, version, segment, at)[rows.joined.rows_J]
            start = None if at is None else from_micros(at)
            yield Part(version, segment, start, _measured(rows.joined, chosen_J, config))


def _chosen(rows: _Rows, version: str, segment: str | None, at: int | None) -> npt.NDArray[np.bool_]:
    chosen_P: npt.NDArray[np.bool_] = rows.version_P == version
    if segment is not None:
        chosen_P &= rows.segment_P == segment
    if at is not None:
        chosen_P &= rows.slice_P == at
    return chosen_P


def _measured(joined: JoinedFeedback, chosen_J: npt.NDArray[np.bool_], config: PerformanceConfig) -> Figures:
    return figures_of(
        joined.clicks_J[chosen_J],
        joined.scores_J[chosen_J],
        joined.users_J[chosen_J],
        joined.requests_J[chosen_J],
        least_rows=config.min_labels,
        least_clicks=config.min_clicks,
    )


def _estimated(rows: _Rows, parts: list[Part], config: PerformanceConfig, rule: Attribution) -> Iterator[Part]:
    """Yield the parts, slices with what was expected of them from the labels that were there when they began."""
    estimators: dict[tuple[str, int], PerformanceEstimator | UserError] = {}
    wait = (timedelta() if rule.within is None else rule.within + rule.delay) // timedelta(microseconds=1)
    for part in parts:
        if part.start is None:
            yield part
            continue
        at = to_micros(part.start)
        key = part.model_version, at
        if key not in estimators:
            estimators[key] = _learnt(rows, part.model_version, at - wait, config)
        found = estimators[key]
        if isinstance(found, UserError):
            yield replace(part, note=str(found))
            continue
        chosen_P = _chosen(rows, part.model_version, part.segment, at) & np.isfinite(rows.score_P)
        if chosen_P.sum() < config.min_labels:
            yield part
        else:
            yield replace(part, estimated=found.estimate(rows.score_P[chosen_P], rows.user_P[chosen_P]))


def _learnt(rows: _Rows, version: str, before: int, config: PerformanceConfig) -> PerformanceEstimator | UserError:
    joined = rows.joined
    past_J = (joined.versions_J == version) & (joined.micros_J < before)
    try:
        return fit_estimator(
            joined.clicks_J[past_J], joined.scores_J[past_J], joined.users_J[past_J], least_rows=config.min_labels
        )
    except UserError as error:
        return error


def _segments(predictions: pa.Table, by: str | None) -> npt.NDArray[np.str_]:
    if by is None:
        return np.full(predictions.num_rows, "", np.str_)
    values = _column(predictions, by)
    if pa.types.is_floating(values.type) or pa.types.is_integer(values.type):
        return _cut(np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64))
    texts_P = np.asarray(values.cast(pa.string()).fill_null("missing").to_pylist(), np.str_)
    known = np.unique(texts_P)
    if len(known) > _MOST_SEGMENTS:
        raise UserError(
            f"{by!r} has {len(known):,} values, allowed are {_MOST_SEGMENTS}: choose a column that has fewer."
        )
    return texts_P


def _column(predictions: pa.Table, by: str) -> pa.ChunkedArray:
    name = by.removeprefix("features.")
    if name == by:
        if by not in predictions.column_names:
            raise NotFound(f"the prediction log has no column {by!r}. {closest(by, predictions.column_names)}")
        return predictions.column(by)
    known = [field.name for field in predictions.schema.field("features").type]
    if name not in known:
        raise NotFound(f"feature {name!r} was not logged with the predictions. {closest(name, known)}")
    return pc.struct_field(predictions.column("features"), name)


def _cut(values_P: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
    """Name each number: itself where there are few, else between which quartiles it lies."""
    known = np.unique(values_P[np.isfinite(values_P)])
    if len(known) <= _FEW_VALUES:
        names_P = np.array([f"{value:g}" for value in values_P], np.str_)
    else:
        edges = np.quantile(values_P[np.isfinite(values_P)], _QUARTERS)
        ends = [f"≤ {edges[0]:.4g}", *(f"{a:.4g} … {b:.4g}" for a, b in pairwise(edges))]
        names_P = np.array([*ends, f"> {edges[-1]:.4g}"], np.str_)[np.searchsorted(edges, values_P)]
    return np.where(np.isfinite(values_P), names_P, "missing")


def _slices(predictions: pa.Table, every: timedelta | None) -> Codes:
    if every is None:
        return np.zeros(predictions.num_rows, np.int64)
    micros = predictions.column("timestamp").cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    micros_P: Codes = np.asarray(micros.to_numpy(zero_copy_only=False), np.int64)
    length = every // timedelta(microseconds=1)
    shift = slice_shift(length)
    return (micros_P - shift) // length * length + shift


def _codes(predictions: pa.Table, name: str) -> Codes:
    encoded = predictions.column(name).combine_chunks().dictionary_encode(null_encoding="encode")
    codes: Codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes
