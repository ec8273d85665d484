"""What is looked for in a batch's columns: points, values and forms that history had, small enough to keep.

Legend: P points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import ndtri

from orita.monitoring.expectations.declaration import TableExpectation
from orita.monitoring.expectations.frame import Frame, View
from orita.monitoring.expectations.text_forms import shapes

__all__ = ["DAY", "ColumnOutlook", "Outlook", "outlook_of", "scores"]

DAY = 86_400_000_000
"""Microseconds."""

_POINTS = 200
_MOST_KNOWN = 20_000
_MOST_WATCHED = 40
_MOST_SHAPES = 2_000
_FEWEST_SHARE = 0.002
_MOST_NUMBERS, _MOST_SEGMENTS, _MOST_LEVELS = 8, 4, 12
_TAILS = (0.9, 0.99, 0.999, 0.9999)


class ColumnOutlook(msgspec.Struct, frozen=True):
    """What history had in one column.

    Attributes:
        kind: of its values.
        gaps: whether some rows lack a value.
        points, scores: numbers at equal ranks, and the normal score of each; of times, the time of the day alone.
        edges: numbers beyond which rows are counted, the lowest first: half of them below, half above.
        watched: the most frequent values, as text; each has a share of its own.
        known: all values, where there are not too many; otherwise nothing, and nothing is new.
        once: those among them that a single batch had: for that batch they were new.
        shapes, shapes_once: forms of texts, likewise.
        shortest, longest: characters of texts.
    """

    kind: str
    gaps: bool = False
    points: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    watched: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    once: frozenset[str] = frozenset()
    shapes: tuple[str, ...] = ()
    shapes_once: frozenset[str] = frozenset()
    shortest: int = 0
    longest: int = 0


class Outlook(msgspec.Struct, frozen=True):
    """What history had in a table.

    Attributes:
        columns: by name.
        time, label, key: those columns, "" where there is none.
        numbers: columns whose relations are watched.
        segments: columns of few values by which others are told apart, and those values.
    """

    columns: dict[str, ColumnOutlook]
    time: str = ""
    label: str = ""
    key: str = ""
    numbers: tuple[str, ...] = ()
    segments: dict[str, tuple[str, ...]] = {}


def outlook_of(frames: Sequence[Frame], table: TableExpectation) -> Outlook:
    """Return what to look for, given the batches of history and what is declared.

    Args:
        frames: one for each batch.
        table: names the columns; those that no batch has are left out.
    """
    names = [name for name in table.columns if any(name in frame.columns for frame in frames)]
    columns = {}
    for name in names:
        views = [frame.columns[name] for frame in frames if name in frame.columns]
        gaps = any(view.missing.any() for view in views)
        columns[name] = msgspec.structs.replace(_column(views), gaps=gaps)
    key = next((name for name in names if table.columns[name].unique), "")
    apart = (key, table.time)
    segments = {
        name: column.known
        for name, column in columns.items()
        if name not in (*apart, table.label) and 2 <= len(column.known) - len(column.once) <= _MOST_LEVELS
    }
    numbers = [
        name
        for name, column in columns.items()
        if column.kind == "number" and name not in apart and len(column.points) > 2
    ]
    label = table.label if table.label in columns else ""
    if label and label not in numbers[:_MOST_NUMBERS] and columns[label].kind == "number":
        numbers.insert(0, label)
    return Outlook(
        columns,
        table.time if table.time in columns else "",
        label,
        key,
        tuple(numbers[:_MOST_NUMBERS]),
        dict(list(segments.items())[:_MOST_SEGMENTS]),
    )


def scores(numbers_N: npt.NDArray[np.float64], column: ColumnOutlook) -> npt.NDArray[np.float64]:
    """Return the normal scores of numbers by their rank in history, −2.8 … 2.8; NaN where missing."""
    return np.interp(numbers_N, column.points, column.scores)


def _column(views: Sequence[View]) -> ColumnOutlook:
    kinds = [view.kind for view in views if view.kind != "nothing"]
    kind = Counter(kinds).most_common(1)[0][0] if kinds else "nothing"
    views = [view for view in views if view.kind == kind]
    if kind == "number":
        return _number(views)
    if kind == "time":
        day_V = np.concatenate([np.remainder(view.numbers[~view.missing], DAY) for view in views])
        points_P = np.quantile(day_V, np.arange(_POINTS + 1) / _POINTS) if len(day_V) else np.empty(0)
        return ColumnOutlook(kind, points=tuple(points_P.tolist()))
    return _text(views) if kind == "text" else ColumnOutlook(kind)


def _number(views: Sequence[View]) -> ColumnOutlook:
    finite_V = np.sort(np.concatenate([view.numbers[np.isfinite(view.numbers)] for view in views]))
    if not len(finite_V):
        return ColumnOutlook("number")
    ranks_P = (np.arange(_POINTS) + 0.5) / _POINTS
    points_P, first_P = np.unique(np.quantile(finite_V, ranks_P, method="inverted_cdf"), return_index=True)
    last_P = np.append(first_P[1:], _POINTS)
    scores_P = ndtri((first_P + last_P) / 2 / _POINTS)
    edges = [*np.quantile(finite_V, [1 - tail for tail in reversed(_TAILS)]), *np.quantile(finite_V, _TAILS)]
    low, high = float(finite_V[0]), float(finite_V[-1])
    width = max(high - low, abs(high), 1e-9)
    edges = [low - width, low, *edges, high, high + width]
    seen = [np.unique(view.numbers[np.isfinite(view.numbers)]) for view in views]
    values_U, batches_U = np.unique(np.concatenate(seen), return_counts=True)
    watched: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    once = frozenset[str]()
    if len(values_U) <= _MOST_KNOWN:
        counts_U = np.diff(np.searchsorted(finite_V, [*values_U, np.inf]))
        watched = _texts(values_U[_frequent(counts_U)])
        if len(values_U) <= 1000:
            known = _texts(values_U)
            once = frozenset(_texts(values_U[batches_U == 1]))
    return ColumnOutlook(
        "number",
        points=tuple(points_P.tolist()),
        scores=tuple(scores_P.tolist()),
        edges=tuple(map(float, edges)),
        watched=watched,
        known=known,
        once=once,
    )


def _text(views: Sequence[View]) -> ColumnOutlook:
    counted = [pa.table({"text": view.texts, "rows": _counts(view)}) for view in views]
    grouped = pa.concat_tables(counted).group_by("text").aggregate([("rows", "sum"), ("rows", "count")])
    texts, rows_U, batches_U = (grouped[name].combine_chunks() for name in ("text", "rows_sum", "rows_count"))
    lengths = pc.min_max(pc.utf8_length(texts)).as_py()
    rows_U, once = rows_U.to_numpy(), pc.equal(batches_U, 1)
    watched = tuple(texts.take(pa.array(_frequent(rows_U))).to_pylist())
    known: tuple[str, ...] = ()
    new: frozenset[str] = frozenset()
    if len(texts) <= _MOST_KNOWN:
        known, new = tuple(texts.to_pylist()), frozenset(texts.filter(once).to_pylist())
    forms, forms_once = _forms(views)
    return ColumnOutlook(
        "text",
        watched=watched,
        known=known,
        once=new,
        shapes=forms,
        shapes_once=forms_once,
        shortest=lengths["min"] or 0,
        longest=lengths["max"] or 0,
    )


def _counts(view: View) -> npt.NDArray[np.int64]:
    """Return the rows of each text."""
    return np.bincount(view.codes[view.codes >= 0], minlength=len(view.texts))


def _forms(views: Sequence[View]) -> tuple[tuple[str, ...], frozenset[str]]:
    seen: dict[str, int] = {}
    for view in views:
        for shape in shapes(view.texts).unique().to_pylist():
            seen[shape] = seen.get(shape, 0) + 1
    if len(seen) > _MOST_SHAPES:
        return (), frozenset()
    return tuple(seen), frozenset(shape for shape, batches in seen.items() if batches == 1)


def _frequent(rows_U: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
    """Return the places of the most frequent values, of those that have a fair share of the rows."""
    order_U = np.argsort(-rows_U, kind="stable")[:_MOST_WATCHED]
    return np.asarray(order_U[rows_U[order_U] >= _FEWEST_SHARE * rows_U.sum()])


def _texts(values_U: npt.NDArray[np.float64]) -> tuple[str, ...]:
    return tuple(repr(value) for value in values_U.tolist())
