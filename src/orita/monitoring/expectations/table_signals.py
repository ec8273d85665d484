"""Figures of a batch as a whole: its rows, duplicates, and how columns go together.

Legend: N rows, L levels of a segment, S signals.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.monitoring.expectations.column_signals import record_column
from orita.monitoring.expectations.frame import Frame, View
from orita.monitoring.expectations.measured import Measured, Recorder, Signal
from orita.monitoring.expectations.outlook import Outlook, scores

__all__ = ["measured"]

_FEWEST_PAIRS, _ALMOST_ONE = 20, 0.999
Floats = npt.NDArray[np.float64]


def measured(frame: Frame, outlook: Outlook, *, end: float, history: bool = False) -> Measured:
    """Return the figures of a batch; those of columns that it lacks are not known.

    Args:
        frame: the batch.
        outlook: what to look for.
        end: its end, microseconds since the epoch, by which ages of times are told.
        history: whether it is one of the batches that *outlook* was made of.
    """
    recorder = Recorder()
    recorder.figure(Signal("", "rows"), float(np.log(max(frame.rows, 0.5))), 1 / max(frame.rows, 1))
    _duplicates(recorder, frame, outlook)
    for name, column in outlook.columns.items():
        view = frame.columns.get(name)
        if view is None or view.kind not in (column.kind, "nothing"):
            view = _empty(name, column.kind)
        elif view.kind == "nothing":
            view = _nothing(name, column.kind, frame.rows)
        told = end if name == outlook.time else None
        record_column(recorder, view, column, end=told, unique=name == outlook.key, history=history)
    scores_of = _scores(frame, outlook)
    _pairs(recorder, scores_of)
    _segments(recorder, frame, outlook, scores_of)
    return recorder.measured()


def _duplicates(recorder: Recorder, frame: Frame, outlook: Outlook) -> None:
    names = tuple(name for name in outlook.columns if name in frame.columns)
    without = tuple(name for name in names if name != outlook.key)
    recorder.share(Signal("", "duplicates"), _repeats(frame.hashes(names)), frame.rows)
    if outlook.key:
        recorder.share(Signal("", "duplicates", "but for the key"), _repeats(frame.hashes(without)), frame.rows)
        keys = (outlook.key,) if outlook.key in frame.columns else ()
        recorder.share(Signal(outlook.key, "repeated"), _repeats(frame.hashes(keys)) if keys else 0, frame.rows)


def _repeats(hashes_N: npt.NDArray[np.uint64]) -> int:
    sorted_N = np.sort(hashes_N)
    return int(np.count_nonzero(sorted_N[1:] == sorted_N[:-1]))


def _scores(frame: Frame, outlook: Outlook) -> dict[str, Floats]:
    found = {}
    for name in outlook.numbers:
        numbers_N = frame.numbers([name])[name]
        found[name] = scores(np.where(np.isinf(numbers_N), np.nan, numbers_N), outlook.columns[name])
    return found


def _pairs(recorder: Recorder, scores_of: Mapping[str, Floats]) -> None:
    """Record the correlation of the normal scores of each two numbers, as Fisher's z, of variance 1 / (n − 3)."""
    for one, other in combinations(scores_of, 2):
        there_N = ~(np.isnan(scores_of[one]) | np.isnan(scores_of[other]))
        x_V, y_V = scores_of[one][there_N], scores_of[other][there_N]
        rows = len(x_V)
        z = variance = np.nan
        if rows >= _FEWEST_PAIRS and np.ptp(x_V) > 0 and np.ptp(y_V) > 0:
            x_V, y_V = x_V - x_V.mean(), y_V - y_V.mean()
            r = float((x_V * y_V).sum() / np.sqrt((x_V**2).sum() * (y_V**2).sum()))
            z, variance = float(np.arctanh(np.clip(r, -_ALMOST_ONE, _ALMOST_ONE))), 1 / (rows - 3)
        recorder.means([Signal(one, "goes with", "", other)], *(np.array([v]) for v in (z, variance, float(rows))))


def _segments(recorder: Recorder, frame: Frame, outlook: Outlook, scores_of: Mapping[str, Floats]) -> None:
    """Record the level of each number, and what is missing of each column, in each segment."""
    for name, levels in outlook.segments.items():
        codes_N = _codes(frame, name, levels)
        rows_L = _per_level(codes_N, np.ones(frame.rows), len(levels))
        for other, scores_N in scores_of.items():
            if other != name:
                there_N = ~np.isnan(scores_N)
                record = _rates if len(outlook.columns[other].known) == 2 else _means
                record(recorder, name, other, levels, codes_N[there_N], scores_N[there_N])
        for other, column in outlook.columns.items():
            if column.gaps and other not in (name, outlook.key):
                view = frame.columns.get(other)
                missing_N = np.ones(frame.rows) if view is None else view.missing.astype(np.float64)
                missing_L = _per_level(codes_N, missing_N, len(levels))
                recorder.shares([Signal(other, "missing", level, name) for level in levels], missing_L, rows_L)


def _means(
    recorder: Recorder,
    name: str,
    other: str,
    levels: tuple[str, ...],
    codes_N: npt.NDArray[np.int64],
    scores_N: Floats,
) -> None:
    rows_L, sums_L, squares_L = (
        _per_level(codes_N, weights_N, len(levels)) for weights_N in (np.ones(len(scores_N)), scores_N, scores_N**2)
    )
    present_L = np.where(rows_L >= 2, rows_L, np.nan)
    means_L = sums_L / present_L
    variances_L = np.maximum(squares_L / present_L - means_L**2, 0) / present_L
    recorder.means([Signal(other, "level", level, name) for level in levels], means_L, variances_L, rows_L)


def _rates(
    recorder: Recorder,
    name: str,
    other: str,
    levels: tuple[str, ...],
    codes_N: npt.NDArray[np.int64],
    scores_N: Floats,
) -> None:
    """Record the share of the larger of two values: a rare one is far from normal."""
    rows_L = _per_level(codes_N, np.ones(len(scores_N)), len(levels))
    larger_L = _per_level(codes_N, (scores_N > 0).astype(np.float64), len(levels))
    recorder.shares([Signal(other, "rate", level, name) for level in levels], larger_L, rows_L)


def _per_level(codes_N: npt.NDArray[np.int64], weights_N: Floats, levels: int) -> Floats:
    return np.asarray(np.bincount(codes_N, weights=weights_N, minlength=levels + 1)[:levels], dtype=np.float64)


def _codes(frame: Frame, name: str, levels: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Return each row's level; those of no level, and missing ones, have the number of levels."""
    view = frame.columns.get(name)
    if view is None:
        return np.full(frame.rows, len(levels))
    if view.kind in ("number", "nothing"):
        found_N = np.full(frame.rows, len(levels))
        for at, level in enumerate(levels):
            found_N[view.numbers == float(level)] = at
        return found_N
    found = pc.index_in(view.texts, value_set=pa.array(levels, pa.string())).fill_null(len(levels))
    at_U = np.append(found.to_numpy(zero_copy_only=False).astype(np.int64), len(levels))
    return np.asarray(at_U[view.codes])


_TYPES = {"number": pa.float64(), "text": pa.string(), "time": pa.timestamp("us"), "other": pa.null()}


def _empty(name: str, kind: str) -> View:
    return View.of(name, pa.array([], _TYPES.get(kind, pa.null())))


def _nothing(name: str, kind: str, rows: int) -> View:
    return View.of(name, pa.nulls(rows, _TYPES.get(kind, pa.null())))
