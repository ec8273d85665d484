"""Expectations of single rows, each as one pass over a column: which rows break which, and why.

Legend: N rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.clock import to_micros
from orita.core.errors import NotFound
from orita.monitoring.expectations.declaration import ColumnExpectation, Severity, TableExpectation, duration_seconds
from orita.monitoring.expectations.formulas import Equation
from orita.monitoring.expectations.frame import Frame, View

__all__ = ["Broken", "broken_rows"]

Mask = npt.NDArray[np.bool_]
Keys = Callable[[str], pa.Array]
"""From ``table.column`` to its values."""


@dataclass(frozen=True, slots=True)
class Broken:
    """An expectation of rows, and which rows of a batch break it.

    Attributes:
        column: whose values; "" for a rule of several columns.
        rule: its name, as in the declaration.
        allows: what is allowed, in words.
        mask_N: rows that break it.
        severity: as declared.
    """

    column: str
    rule: str
    allows: str
    mask_N: Mask
    severity: Severity

    @property
    def rows(self) -> int:
        """How many rows break it."""
        return int(np.count_nonzero(self.mask_N))


def broken_rows(frame: Frame, table: TableExpectation, now: datetime, keys: Keys) -> list[Broken]:
    """Return every expectation that some row breaks, in the order in which a row is given its reason.

    Args:
        frame: the batch.
        table: what is expected.
        now: after which times are in the future.
        keys: gives the values of the tables that ``key_of`` names.
    """
    found: list[Broken] = []
    for name, column in table.columns.items():
        if name in frame.columns:
            judged = _column_rules(frame.columns[name], column, keys)
            found += [Broken(name, rule, allows, mask_N, column.severity) for rule, allows, mask_N in judged]
    found += [Broken(*rule, table.severity) for rule in _table_rules(frame, table, now)]
    return [each for each in found if each.mask_N.any()]


def _column_rules(view: View, column: ColumnExpectation, keys: Keys) -> Iterator[tuple[str, str, Mask]]:
    missing_N = view.missing
    if column.most_missing == 0:
        yield "most_missing", "a value in every row", missing_N
    if column.type is not None:
        unread_N, allows = _unreadable(view, column.type)
        yield "type", allows, unread_N & ~missing_N
    if column.minimum is not None:
        yield "minimum", f"{column.minimum:g} or more", view.numbers < column.minimum
    if column.maximum is not None:
        yield "maximum", f"{column.maximum:g} or less", view.numbers > column.maximum
    if column.choices:
        shown = ", ".join(column.choices[:20]) + (", …" if len(column.choices) > 20 else "")
        yield "choices", f"one of {shown}", _unlisted(view, pa.array(column.choices, pa.string()))
    if column.pattern:
        # RE2 looks for a part; anchors and a group make it the whole.
        fits = pc.match_substring_regex(view.texts, f"^(?:{column.pattern})$")
        yield "pattern", f"text that matches {column.pattern}", _spread(pc.invert(fits), view)
    if column.longest is not None:
        long = pc.greater(pc.utf8_length(view.texts), column.longest)
        yield "longest", f"at most {column.longest} characters", _spread(long, view)
    if column.unique:
        yield "unique", "a value that no row before has", _repeated(view)
    if column.key_of:
        yield "key_of", f"a value of {column.key_of}", _orphans(view, column.key_of, keys)


def _table_rules(frame: Frame, table: TableExpectation, now: datetime) -> Iterator[tuple[str, str, str, Mask]]:
    if table.ahead and table.time in frame.columns:
        limit = to_micros(now) + duration_seconds("ahead", table.ahead) * 1e6
        yield (
            table.time,
            "ahead",
            f"a time up to {table.ahead} after {now:%Y-%m-%d %H:%M:%S} UTC",
            (frame.columns[table.time].numbers > limit),
        )
    for text in table.totals:
        equation = Equation.parsed(text)
        if equation.names <= set(frame.columns):
            yield "", "totals", text, equation.broken(frame.numbers(equation.names), table.tolerance)


def _unreadable(view: View, expected: str) -> tuple[Mask, str]:
    """Return which rows hold something else, missing ones not told apart, and what is allowed in words."""
    everything_N = np.ones(len(view.values), dtype=np.bool_)
    match expected:
        case "text":
            return (~everything_N if view.kind in ("text", "nothing") else everything_N), "text"
        case "time":
            return (~everything_N if view.kind in ("time", "nothing") else everything_N), "a time"
        case _ if view.kind in ("time", "other"):
            return everything_N, "a number"
        case "flag":
            return ~np.isin(view.numbers, (0.0, 1.0)), "0 or 1"
        case "whole":
            return view.numbers != np.round(view.numbers), "a whole number"
    return ~np.isfinite(view.numbers), "a finite number"


def _unlisted(view: View, listed: pa.Array) -> Mask:
    if view.kind == "number":
        numbers = [number for text in listed.to_pylist() if (number := _number(text)) is not None]
        return ~np.isin(view.numbers, numbers) & ~view.missing
    return _spread(pc.invert(pc.is_in(view.texts, value_set=listed)), view)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _repeated(view: View) -> Mask:
    """Return which rows have a value that a row before has."""
    keys_N, there_N = _keys(view)
    repeated_N = np.zeros(len(keys_N), dtype=np.bool_)
    if there_N.all() and (keys_N[1:] > keys_N[:-1]).all():  # as ids of new rows are
        return repeated_N
    sorted_V = np.sort(keys_N[there_N])
    if len(sorted_V) and (sorted_V[1:] == sorted_V[:-1]).any():
        at_V = np.flatnonzero(there_N)
        order_V = np.argsort(keys_N[there_N], kind="stable")
        again_V = np.append(False, sorted_V[1:] == sorted_V[:-1])
        repeated_N[at_V[order_V[again_V]]] = True
    return repeated_N


def _keys(view: View) -> tuple[npt.NDArray[np.int64], Mask]:
    """Return a whole number for each row's value, and which rows have one; exact also beyond 2⁵³."""
    values = view.values
    if pa.types.is_integer(values.type) and not pa.types.is_uint64(values.type):
        there_N = pc.is_valid(values).to_numpy(zero_copy_only=False).astype(np.bool_)
        return np.asarray(values.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)), there_N
    if view.kind in ("text", "other"):
        return view.codes, view.codes >= 0
    codes_N = values.dictionary_encode().indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return codes_N, codes_N >= 0


def _orphans(view: View, key_of: str, keys: Keys) -> Mask:
    known = keys(key_of)
    if pa.types.is_dictionary(known.type):
        known = known.dictionary_decode()
    if view.kind == "number" and not pa.types.is_string(known.type):
        try:
            found = pc.is_in(view.values, value_set=known.cast(view.values.type))
        except pa.ArrowInvalid as error:
            raise NotFound(f"column {view.name!r} cannot be looked up in {key_of}: {error}.") from None
        return np.asarray(~found.to_numpy(zero_copy_only=False).astype(np.bool_) & ~view.missing)
    return _spread(pc.invert(pc.is_in(view.texts, value_set=known.cast(pa.string()))), view)


def _spread(broken_U: pa.Array, view: View) -> Mask:
    """Return for each row what was found for its text; False where it is missing."""
    mask_U = np.append(broken_U.to_numpy(zero_copy_only=False).astype(np.bool_), False)
    return np.asarray(mask_U[view.codes])
