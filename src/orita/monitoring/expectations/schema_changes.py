"""How a batch's columns changed: dropped, added, renamed, retyped, swapped.

A column that is gone and one that is new are one that was renamed where the new one looks like the old. Two columns
were swapped where each looks far more like what history had in the other.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import ndtr

from orita.monitoring.expectations.declaration import TableExpectation
from orita.monitoring.expectations.findings import Finding
from orita.monitoring.expectations.frame import Frame, View
from orita.monitoring.expectations.outlook import ColumnOutlook, Outlook
from orita.monitoring.expectations.text_forms import shapes

__all__ = ["schema_changes", "swapped_columns"]

_ALIKE_NAMES, _ALIKE_VALUES, _UNLIKE = 0.6, 0.7, 0.5
_KINDS = {"number": "number", "whole": "number", "flag": "number", "text": "text", "time": "time"}


def schema_changes(frame: Frame, table: TableExpectation, outlook: Outlook | None) -> list[Finding]:
    """Return the findings about which columns there are, and of what kind.

    Args:
        frame: the batch.
        table: the columns that are expected.
        outlook: what history had in them, None where that is not known.
    """
    gone = [name for name, column in table.columns.items() if column.required and name not in frame.columns]
    new = [name for name in frame.columns if name not in table.columns]
    found = []
    for name in gone:
        column = table.columns[name]
        successor = next((n for n in new if _renamed(name, frame.columns[n], table, outlook)), None)
        if successor is not None:
            new.remove(successor)
            sentence = (
                f"column {name!r} was renamed to {successor!r}: rename it back, or declare the new name and infer anew."
            )
        else:
            sentence = f"column {name!r} was dropped: restore it, or declare it with 'required: false'."
        found.append(Finding(name, "schema", sentence, column.severity))
    if new and table.other_columns != "ignore":
        for name in new:
            sentence = f"column {name!r} was added ({frame.columns[name].values.type}): declare it, or leave it out."
            found.append(Finding(name, "schema", sentence, table.other_columns))
    return [*found, *_retyped(frame, table)]


def _renamed(name: str, view: View, table: TableExpectation, outlook: Outlook | None) -> bool:
    expected = table.columns[name].type
    if expected is not None and view.kind not in (_KINDS[expected], "nothing"):
        return False
    if difflib.SequenceMatcher(None, name.lower(), view.name.lower()).ratio() >= _ALIKE_NAMES:
        return True
    column = outlook.columns.get(name) if outlook is not None else None
    return column is not None and likeness(view, column) >= _ALIKE_VALUES


def _retyped(frame: Frame, table: TableExpectation) -> Iterator[Finding]:
    for name, column in table.columns.items():
        view = frame.columns.get(name)
        if view is None or column.type is None or view.kind in (_KINDS[column.type], "nothing"):
            continue
        sentence = (
            f"column {name!r} was retyped: it holds {view.values.type}, expected was {column.type}; "
            "convert it, or declare the new type and infer anew."
        )
        yield Finding(name, "schema", sentence, column.severity)


def swapped_columns(
    frame: Frame, table: TableExpectation, outlook: Outlook, suspects: Collection[str]
) -> list[Finding]:
    """Return a finding for each two *suspects* that look like each other's history and not like their own."""
    columns = {name: column for name, column in outlook.columns.items() if name in suspects}
    there = [name for name, column in columns.items() if _comparable(frame, name, column)]
    found = []
    for one, other in combinations(there, 2):
        kinds = {outlook.columns[name].kind for name in (one, other)}
        if len(kinds) > 1 or outlook.key in (one, other):
            continue
        own = [likeness(frame.columns[name], outlook.columns[name]) for name in (one, other)]
        crossed = [likeness(frame.columns[a], outlook.columns[b]) for a, b in ((one, other), (other, one))]
        if min(crossed) >= _ALIKE_VALUES and max(own) <= _UNLIKE:
            sentence = f"columns {one!r} and {other!r} were swapped: each looks like the other before; swap them back."
            found.append(Finding(one, "schema", sentence, table.columns[one].severity))
    return found


def _comparable(frame: Frame, name: str, column: ColumnOutlook) -> bool:
    view = frame.columns.get(name)
    return view is not None and view.kind == column.kind and column.kind in ("number", "text") and len(view.values) > 0


def likeness(view: View, column: ColumnOutlook) -> float:
    """Return how alike a column is to history, 0 … 1: the share of rows in the same place.

    Of numbers it is one less the distance of the distribution functions (Kolmogorov and Smirnov); of texts the share of
    rows with a value that history had, or, where values are new every time, with a shape.
    """
    if view.kind != column.kind:
        return 0.0
    if column.kind == "number":
        finite = view.numbers[np.isfinite(view.numbers)]
        if not len(finite) or not column.points:
            return 0.0
        points = np.array(column.points)
        below = np.searchsorted(np.sort(finite), points, side="right") / len(finite)
        return float(1 - np.abs(below - ndtr(np.array(column.scores))).max())
    if column.kind != "text":
        return 0.0
    known, texts = (column.known, view.texts) if column.known else (column.shapes, shapes(view.texts))
    seen_U = pc.is_in(texts, value_set=pa.array(known, pa.string())).to_numpy(zero_copy_only=False)
    codes = view.codes[view.codes >= 0]
    return float(seen_U[codes].mean()) if len(codes) else 0.0
