"""History cut into batches, and what can be told from it: a declaration and an envelope.

Legend: N rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import permutations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.core.clock import from_micros, to_micros
from orita.core.errors import NotFound, UserError, closest
from orita.monitoring.expectations.declaration import ColumnExpectation, ExpectedType, TableExpectation
from orita.monitoring.expectations.envelope import Envelope
from orita.monitoring.expectations.formulas import Equation
from orita.monitoring.expectations.frame import Frame, View
from orita.monitoring.expectations.outlook import outlook_of
from orita.monitoring.expectations.table_signals import measured

__all__ = ["Batch", "by_rows", "by_time", "envelope_of", "inferred"]

_DAY = timedelta(days=1)
_EPOCH_MONDAY = 4 * 86_400_000_000
_MOST_CHOICES, _SEEN_EACH = 50, 20
_SAMPLE, _MOST_TERMS = 2_000, 6


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that came together, and the end of the time that they are of, UTC."""

    frame: Frame
    end: datetime


def by_time(table: pa.Table, time: str, every: timedelta = _DAY) -> list[Batch]:
    """Return the batches of a table by its column of times, in order; rows without a time are left out.

    A slice that is cut short, the first and the last, is left out too where there are four or more.

    Raises:
        NotFound: there is no such column.
        UserError: it holds no times.
    """
    if time not in table.column_names:
        raise NotFound(f"there is no column {time!r}. {closest(time, table.column_names)}")
    view = View.of(time, table[time])
    if view.kind != "time":
        raise UserError(f"column {time!r} holds {view.values.type}, no times: name the one that history is cut by.")
    micros = every // timedelta(microseconds=1)
    there_N = np.flatnonzero(~view.missing)
    slices_N = np.floor_divide(view.numbers[there_N] - _EPOCH_MONDAY, micros).astype(np.int64)
    order_N = np.argsort(slices_N, kind="stable")
    slices, begins = np.unique(slices_N[order_N], return_index=True)
    parts = np.split(there_N[order_N], begins[1:])
    found = [
        Batch(Frame.of(table.take(pa.array(part))), from_micros(int((at + 1) * micros + _EPOCH_MONDAY)))
        for at, part in zip(slices.tolist(), parts, strict=True)
    ]
    return found[1:-1] if len(found) >= 4 else found


def by_rows(table: pa.Table, rows: int) -> list[Batch]:
    """Return the batches of a table of so many rows each, in its order; a shorter last one is left out.

    They stand for one a day, without weekdays or trends that mean anything.
    """
    whole = max(table.num_rows // rows, 1)
    start = datetime(2000, 1, 1, tzinfo=UTC)
    return [Batch(Frame.of(table.slice(at * rows, rows)), start + _DAY * (at + 1)) for at in range(whole)]


def envelope_of(batches: Sequence[Batch], table: TableExpectation) -> Envelope:
    """Return what batches of history expect of the next.

    Raises:
        UserError: they are too few.
    """
    outlook = outlook_of([batch.frame for batch in batches], table)
    figures = [measured(b.frame, outlook, end=to_micros(b.end), history=True) for b in batches]
    return Envelope.of(outlook, [batch.end for batch in batches], figures)


def inferred(batches: Sequence[Batch], *, time: str = "", label: str = "") -> TableExpectation:
    """Return the expectations of rows that all of history meets and that follow from what the columns are.

    Bounds that only rare rows would show, such as the largest amount so far, are left to the envelope.
    """
    names = list(dict.fromkeys(name for batch in batches for name in batch.frame.columns))
    columns = {name: _column([b.frame.columns[name] for b in batches if name in b.frame.columns]) for name in names}
    return TableExpectation(
        columns=columns,
        time=time,
        label=label,
        ahead="0s" if time and _never_ahead(batches, time) else "",
        totals=tuple(_totals(batches, columns)),
    )


def _never_ahead(batches: Sequence[Batch], time: str) -> bool:
    return all(np.nanmax(b.frame.columns[time].numbers, initial=0) <= to_micros(b.end) for b in batches)


def _column(views: Sequence[View]) -> ColumnExpectation:
    kinds = {view.kind for view in views} - {"nothing"}
    rows = sum(len(view.values) for view in views)
    missing = sum(int(np.count_nonzero(view.missing)) for view in views)
    most_missing = 0.0 if missing == 0 else 1.0
    if kinds == {"text"}:
        return _text(views, rows - missing, most_missing)
    if kinds == {"number"}:
        return _number(views, rows - missing, most_missing)
    return ColumnExpectation(type="time" if kinds == {"time"} else None, most_missing=most_missing)


def _text(views: Sequence[View], rows: int, most_missing: float) -> ColumnExpectation:
    counts: dict[str, int] = {}
    for view in views:
        in_view = np.bincount(view.codes[view.codes >= 0], minlength=len(view.texts))
        for text, count in zip(view.texts.to_pylist(), in_view.tolist(), strict=True):
            counts[text] = counts.get(text, 0) + count
    unique = rows > 1 and len(counts) == rows and most_missing == 0
    few = 0 < len(counts) <= _MOST_CHOICES and min(counts.values()) >= _SEEN_EACH
    return ColumnExpectation(
        type="text",
        most_missing=most_missing,
        choices=tuple(sorted(counts)) if few else (),
        pattern="" if few or len(counts) <= _MOST_CHOICES else _pattern(list(counts)),
        unique=unique,
    )


def _pattern(texts: list[str]) -> str:
    """Return the pattern of texts of digits that all have one length, such as codes with leading zeros."""
    lengths = {len(text) for text in texts}
    if len(lengths) == 1 and all(text.isascii() and text.isdigit() for text in texts):
        return rf"\d{{{lengths.pop()}}}"
    return ""


def _number(views: Sequence[View], rows: int, most_missing: float) -> ColumnExpectation:
    numbers = np.concatenate([view.numbers[~view.missing] for view in views])
    different = np.unique(numbers)
    whole = bool((different == np.rint(different)).all())
    kind: ExpectedType = "whole" if whole else "number"
    if len(different) and set(different.tolist()) <= {0.0, 1.0}:
        kind = "flag"
    # A whole number that never falls and never repeats counts rows, as ids do.
    unique = whole and rows > 1 and len(different) == rows and most_missing == 0
    minimum = 0.0 if kind != "flag" and len(different) and different[0] >= 0 else None
    return ColumnExpectation(type=kind, most_missing=most_missing, minimum=minimum, unique=unique)


def _totals(batches: Sequence[Batch], columns: dict[str, ColumnExpectation]) -> Iterator[str]:
    """Yield the sums and products of two columns that make a third in every row of history."""
    names = [
        name
        for name, column in columns.items()
        if column.type in ("number", "whole") and not column.unique and name.isidentifier()
    ][:_MOST_TERMS]
    sample = batches[0].frame.numbers(names)
    sample = {name: numbers[:_SAMPLE] for name, numbers in sample.items()}
    found: set[frozenset[str]] = set()
    for total, one, other in permutations(names, 3):
        for sign in ("*", "+"):
            if one > other or frozenset((total, one, other)) in found:
                continue
            equation = Equation.parsed(f"{total} = {one} {sign} {other}")
            telling = _telling(sample, total, one, other) and _holds(equation, [sample])
            if telling and _holds(equation, [batch.frame.numbers(names) for batch in batches]):
                found.add(frozenset((total, one, other)))
                yield equation.text


def _telling(sample: Mapping[str, npt.NDArray[np.float64]], *names: str) -> bool:
    """Tell whether each column has several values, none of them mostly 0: 0 = 0 * x tells nothing."""
    return all(len(np.unique(sample[n])) > 3 and np.mean(sample[n] == 0) < 0.5 for n in names)


def _holds(equation: Equation, several: Sequence[Mapping[str, npt.NDArray[np.float64]]]) -> bool:
    return not any(equation.broken(numbers, TableExpectation().tolerance).any() for numbers in several)
