"""Rows of Python or of Arrow as one table, each column of one type, whatever the rows held."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from orita.core.errors import UserError

__all__ = ["as_table"]

_REFUSED = (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError)


def as_table(rows: pa.Table | Iterable[Mapping[str, object]]) -> pa.Table:
    """Return *rows* as a table with a row each, a column of values of several types as text.

    Raises:
        UserError: a name is there twice, a text is none in Unicode, or a column has objects beside other values.
    """
    if isinstance(rows, pa.Table):
        _refuse_repeated(rows.column_names)
        return rows
    held = list(rows)
    names = list(dict.fromkeys(name for row in held for name in row))
    # The column beside them keeps the number of rows where no row has a column.
    columns = {"": pa.nulls(len(held)), **{name: _column(name, [row.get(name) for row in held]) for name in names}}
    return pa.table(columns).select(names)


def _refuse_repeated(names: Sequence[str]) -> None:
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise UserError(f"column {repeated!r} is there twice: give each column a name of its own.")


def _column(name: str, values: Sequence[object]) -> pa.Array:
    try:
        name.encode()
        return pa.array(values)
    except _REFUSED:
        return _mixed(name, values)
    except UnicodeEncodeError:
        raise UserError(f"{_place(name, values)}: it is no text in Unicode; write it in UTF-8.") from None


def _place(name: str, values: Sequence[object]) -> str:
    """Return which row of a column has a text that is none, or that the name of the column is none."""
    for row, value in enumerate(values):
        try:
            pa.array([value])
        except UnicodeEncodeError:
            return f"row {row}: {name} is {value!r}"
        except _REFUSED:
            continue
    return f"a column is named {name!r}"


def _mixed(name: str, values: Sequence[object]) -> pa.Array:
    """Return values of several types as text, lists as lists of texts."""
    known = [value for value in values if value is not None]
    nested = [value for value in known if isinstance(value, (dict, list, tuple))]
    if not nested:
        return _column(name, [None if value is None else _text(value) for value in values])
    if len(nested) < len(known) or any(isinstance(value, dict) for value in nested):
        kind = isinstance(known[0], (dict, list, tuple))
        others = [row for row, v in enumerate(values) if v is not None and isinstance(v, (dict, list, tuple)) != kind]
        row = others[0] if others else next(row for row, value in enumerate(values) if isinstance(value, dict))
        raise UserError(
            f"row {row}: {name} is {values[row]!r}, and other rows have other kinds of values there; write one kind of "
            "value in a column."
        )
    lists = [None if value is None else [each if each is None else _text(each) for each in value] for value in values]  # type: ignore[attr-defined]
    return pa.array(lists, pa.list_(pa.string()))


def _text(value: object) -> str:
    """Return a value of a column of several types as a text that says the same."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
