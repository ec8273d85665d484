"""Figures of one column of a batch: missing values, tails, frequent and new values, forms of texts, hours of times.

Legend: N rows, V rows with a value, U different texts, E edges, W watched values.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.monitoring.expectations.frame import View
from orita.monitoring.expectations.measured import Recorder, Signal
from orita.monitoring.expectations.outlook import DAY, ColumnOutlook, scores
from orita.monitoring.expectations.text_forms import FORMS, form_masks, shapes

__all__ = ["SENTINELS", "record_column"]

SENTINELS = (-9999.0, -999.0, -99.0, -1.0, 99.0, 999.0, 9999.0, 99_999.0, 999_999.0)
"""Numbers that stand for a missing one in other systems."""

_HOUR = 3_600_000_000
_HOURS = tuple(f"{hour:02}" for hour in range(24))
_AGES = ((0, "ahead"), (1, "older than 1 d"), (2, "older than 2 d"))
_PLACES = ("0", "1", "2", "3")
_FEWEST_TIMES, _GAP_VARIANCE = 50, 0.02
_EXTREME_VARIANCE = 0.25  # The largest of many values has a heavy tail: a factor of e to the 1/2 says nothing.


def record_column(
    recorder: Recorder, view: View, column: ColumnOutlook, *, end: float | None, unique: bool, history: bool
) -> None:
    """Record the figures of a column.

    Args:
        recorder: collects them.
        view: the batch's rows.
        column: what history had in it.
        end: the end of the batch, microseconds since the epoch, by which ages of times are told; None: they are not.
        unique: whether it is a key, of which neither size nor frequent values say anything.
        history: whether the batch is itself part of the history; what it alone had was new in it.
    """
    name, rows = view.name, len(view.values)
    recorder.share(Signal(name, "missing"), int(np.count_nonzero(view.missing)), rows)
    if column.kind == "number":
        _number(recorder, view, column, unique=unique, history=history)
    elif column.kind == "text":
        _text(recorder, view, column, unique=unique, history=history)
    elif column.kind == "time":
        _time(recorder, name, view.numbers[~view.missing], column, end)


def _number(recorder: Recorder, view: View, column: ColumnOutlook, *, unique: bool, history: bool) -> None:
    name = view.name
    present_V = view.numbers[~view.missing]
    x_V = present_V[np.isfinite(present_V)]
    rows = len(x_V)
    recorder.share(Signal(name, "infinite"), len(present_V) - rows, len(present_V))
    if unique or not column.points:
        return
    sorted_V = np.sort(x_V)
    _tails(recorder, name, sorted_V, column)
    begins_U = np.flatnonzero(np.append(True, sorted_V[1:] != sorted_V[:-1])) if rows else np.empty(0, np.int64)
    values_U, counts_U = sorted_V[begins_U], np.diff(begins_U, append=rows)
    _values(recorder, name, values_U, counts_U, column, history=history)
    recorder.share(Signal(name, "zero"), int(counts_U[values_U == 0].sum()), rows)
    recorder.share(Signal(name, "sentinel"), int(counts_U[np.isin(values_U, SENTINELS)].sum()), rows)
    recorder.share(Signal(name, "repeated"), int(counts_U[counts_U > 1].sum()), rows)
    _places(recorder, name, values_U, counts_U)
    recorder.share(Signal(name, "as before"), int(np.count_nonzero(x_V[1:] == x_V[:-1])), max(rows - 1, 0))
    for what, extreme in (("smallest", sorted_V[:1]), ("largest", sorted_V[-1:])):
        value = float((np.sign(extreme) * np.log1p(np.abs(extreme)))[0]) if rows else np.nan
        recorder.figure(Signal(name, what), value, _EXTREME_VARIANCE)
    scores_V = scores(x_V, column)
    recorder.mean(Signal(name, "level"), scores_V)
    recorder.mean(Signal(name, "spread"), scores_V**2)


def _tails(recorder: Recorder, name: str, sorted_V: npt.NDArray[np.float64], column: ColumnOutlook) -> None:
    edges = np.array(column.edges)
    half = len(edges) // 2
    below_E = np.searchsorted(sorted_V, edges[:half], side="left")
    above_E = len(sorted_V) - np.searchsorted(sorted_V, edges[half:], side="right")
    signals = [Signal(name, "below", f"{edge:.6g}") for edge in edges[:half]]
    signals += [Signal(name, "above", f"{edge:.6g}") for edge in edges[half:]]
    signals = [signal._replace(detail=f"{signal.detail} #{at}") for at, signal in enumerate(signals)]
    recorder.shares(signals, np.concatenate([below_E, above_E]), len(sorted_V))


def _values(
    recorder: Recorder,
    name: str,
    values_U: npt.NDArray[np.float64],
    counts_U: npt.NDArray[np.int64],
    column: ColumnOutlook,
    *,
    history: bool,
) -> None:
    rows = int(counts_U.sum())
    watched_W = np.array([float(text) for text in column.watched])
    at_W = np.minimum(np.searchsorted(values_U, watched_W), max(len(values_U) - 1, 0))
    hit_W = values_U[at_W] == watched_W if len(values_U) else np.zeros(len(watched_W), dtype=np.bool_)
    counts_W = np.where(hit_W, counts_U[at_W], 0) if len(values_U) else np.zeros(len(watched_W))
    recorder.shares([Signal(name, "value", text) for text in column.watched], counts_W, rows)
    others_U = counts_U[~np.isin(values_U, watched_W)]
    recorder.share(Signal(name, "most frequent of the rest"), int(others_U.max(initial=0)), rows)
    if column.known:
        known = [float(text) for text in column.known if not (history and text in column.once)]
        recorder.share(Signal(name, "new"), int(counts_U[~np.isin(values_U, known)].sum()), rows)


def _places(recorder: Recorder, name: str, values_U: npt.NDArray[np.float64], counts_U: npt.NDArray[np.int64]) -> None:
    """Count numbers that need few decimals, or end in zeros: rounding and other units show there."""
    rows = int(counts_U.sum())
    with np.errstate(over="ignore", invalid="ignore"):
        fine = [np.abs(scaled := values_U * 10.0**at - np.rint(values_U * 10.0**at)) < 1e-6 for at in range(4)]
        fine += [np.remainder(np.abs(values_U), size) == 0 for size in (10.0, 100.0)]
    del scaled
    signals = [*(Signal(name, "decimals", place) for place in _PLACES), Signal(name, "tens"), Signal(name, "hundreds")]
    recorder.shares(signals, np.array([counts_U[mask].sum() for mask in fine]), rows)


def _text(recorder: Recorder, view: View, column: ColumnOutlook, *, unique: bool, history: bool) -> None:
    name, texts_U = view.name, view.texts
    present_V = view.codes[view.codes >= 0]
    rows = len(present_V)
    counts_U = np.bincount(present_V, minlength=len(texts_U))
    forms = form_masks(texts_U)
    recorder.shares(
        [Signal(name, "form", form) for form in FORMS], np.array([counts_U[mask].sum() for mask in forms]), rows
    )
    lengths_U = pc.utf8_length(texts_U).to_numpy(zero_copy_only=False).astype(np.float64)
    recorder.mean(Signal(name, "length"), lengths_U[present_V])
    recorder.share(Signal(name, "longer", str(column.longest)), int(counts_U[lengths_U > column.longest].sum()), rows)
    short = int(counts_U[lengths_U < column.shortest].sum())
    recorder.share(Signal(name, "shorter", str(column.shortest)), short, rows)
    if column.shapes:
        recorder.share(
            Signal(name, "new shape"),
            _unseen(shapes(texts_U), counts_U, column.shapes, column.shapes_once if history else frozenset()),
            rows,
        )
    if unique:
        return
    at_W = pc.index_in(pa.array(column.watched, pa.string()), value_set=texts_U).fill_null(-1)
    counts_W = np.append(counts_U, 0)[at_W.to_numpy(zero_copy_only=False)]
    recorder.shares([Signal(name, "value", text) for text in column.watched], counts_W, rows)
    watched_U = pc.is_in(texts_U, value_set=pa.array(column.watched, pa.string())).to_numpy(zero_copy_only=False)
    rest_U = counts_U[~watched_U.astype(np.bool_)]
    recorder.share(Signal(name, "most frequent of the rest"), int(rest_U.max(initial=0)), rows)
    recorder.share(Signal(name, "as before"), int(np.count_nonzero(present_V[1:] == present_V[:-1])), max(rows - 1, 0))
    different, single = int(np.count_nonzero(counts_U)), int(np.count_nonzero(counts_U == 1))
    recorder.figure(Signal(name, "distinct"), float(np.sqrt(different)), (single + 1) / (4 * max(different, 1)))
    if column.known:
        new = _unseen(texts_U, counts_U, column.known, column.once if history else frozenset())
        recorder.share(Signal(name, "new"), new, rows)


def _unseen(texts_U: pa.Array, counts_U: npt.NDArray[np.int64], known: tuple[str, ...], without: frozenset[str]) -> int:
    """Count the rows whose text history did not have."""
    value_set = pa.array([text for text in known if text not in without] if without else known, pa.string())
    seen_U = pc.is_in(texts_U, value_set=value_set).to_numpy(zero_copy_only=False).astype(np.bool_)
    return int(counts_U[~seen_U].sum())


def _time(
    recorder: Recorder, name: str, times_V: npt.NDArray[np.float64], column: ColumnOutlook, end: float | None
) -> None:
    rows = len(times_V)
    hours_V = (np.floor_divide(times_V, _HOUR) % 24).astype(np.int64)
    recorder.shares([Signal(name, "hour", hour) for hour in _HOURS], np.bincount(hours_V, minlength=24), rows)
    if end is not None:
        days_V = (end - times_V) / DAY
        ages = [np.count_nonzero(days_V < 0), *(np.count_nonzero(days_V > days) for days, _ in _AGES[1:])]
        recorder.shares([Signal(name, "age", detail) for _, detail in _AGES], np.array(ages), rows)
    within_V = np.remainder(times_V, _HOUR)
    on_hour, on_minute = np.count_nonzero(within_V == 0), np.count_nonzero(np.remainder(times_V, _HOUR / 60) == 0)
    midnight = np.count_nonzero(np.remainder(times_V, DAY) == 0)
    details = ("whole minutes", "whole hours", "midnight")
    recorder.shares([Signal(name, "round", each) for each in details], np.array([on_minute, on_hour, midnight]), rows)
    falls = int(np.count_nonzero(times_V[1:] < times_V[:-1]))
    recorder.share(Signal(name, "out of order"), falls, max(rows - 1, 0))
    sorted_V = np.sort(times_V)
    same = int(np.count_nonzero(sorted_V[1:] == sorted_V[:-1]))
    recorder.share(Signal(name, "same time"), same, max(rows - 1, 0))
    recorder.figure(Signal(name, "gap"), _longest_gap(sorted_V, column), _GAP_VARIANCE)


def _longest_gap(sorted_V: npt.NDArray[np.float64], column: ColumnOutlook) -> float:
    """Return the logarithm of the longest time without a row, in rows that history has in such a time of the day."""
    if len(sorted_V) < _FEWEST_TIMES or not column.points:
        return np.nan
    ranks_P = np.arange(len(column.points)) / (len(column.points) - 1)
    place_V = np.floor_divide(sorted_V, DAY) + np.interp(np.remainder(sorted_V, DAY), column.points, ranks_P)
    # Late rows and those of another day are not what the longest gap is measured by.
    low, high = np.quantile(place_V, (0.01, 0.99))
    inner_V = place_V[(place_V >= low) & (place_V <= high)]
    gap = np.diff(inner_V).max() / max(high - low, 1e-12)
    return float(np.log(max(gap * len(inner_V), 1e-9)))
