"""How the columns of a table may change: it gains nullable ones, and a type may become wider. Nothing else.

A snapshot keeps the columns and types that it had.
"""

from __future__ import annotations

import pyarrow as pa

from orita.core.errors import UserError

__all__ = ["evolved"]

_WIDER: dict[pa.DataType, tuple[pa.DataType, ...]] = {
    pa.int8(): (pa.int16(), pa.int32(), pa.int64()),
    pa.int16(): (pa.int32(), pa.int64()),
    pa.int32(): (pa.int64(),),
    pa.float32(): (pa.float64(),),
}


def evolved(table: str, stored: pa.Schema, new: pa.Schema) -> pa.Schema | None:
    """Return the columns of a table once rows of *new* are in it, None where no type of *stored* changes.

    Raises:
        UserError: a type is narrower or another one, or a new column may not be null.
    """
    widened = {}
    for field in new:
        position = stored.get_field_index(field.name)
        if position < 0:
            _check_new(table, field)
        elif (had := stored.field(position).type) != field.type:
            if field.type not in _WIDER.get(had, ()):
                raise UserError(_refusal(table, field.name, had, field.type))
            widened[field.name] = field.type
    if not widened:
        return None
    kept = [pa.field(field.name, widened.get(field.name, field.type)) for field in stored]
    return pa.schema([*kept, *(field for field in new if field.name not in stored.names)])


def _check_new(table: str, field: pa.Field) -> None:
    if not field.nullable:
        raise UserError(
            f"column {field.name!r} is new in table {table!r} and is declared not null, but the rows that are there "
            "have no value for it: declare it nullable."
        )


def _refusal(table: str, name: str, had: pa.DataType, given: pa.DataType) -> str:
    if had in _WIDER.get(given, ()):
        return (
            f"column {name!r} of table {table!r} holds {had}, but the new rows hold {given}, which is narrower: "
            f"cast them to {had}; a column never becomes narrower."
        )
    wider = ", ".join(str(kind) for kind in _WIDER.get(had, ()))
    takes = f"{had}, or may become {wider}" if wider else f"{had} and nothing else"
    return (
        f"column {name!r} of table {table!r} holds {had}, but the new rows hold {given}: it takes {takes}; "
        "convert them, or write them to another column or table."
    )
