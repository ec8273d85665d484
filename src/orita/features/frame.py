"""The events of a system as arrays in the order of time, with the attributes of their entities.

Legend: N events; X pairs of an event and one of the several values of an attribute.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.events.engine import literal, quoted
from orita.features.declarations import Attribute, Entity, Expression, OneHot, Residual
from orita.features.kernel.grouping import Codes, codes_of_integers
from orita.features.plan import Plan

__all__ = ["Frame", "Many", "Relations", "attribute_sql", "load_frame"]

Relations = Mapping[str, str]
"""For each table name, SQL that can stand behind FROM; an absent entity table has no attributes yet."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Many:
    """The values of an attribute that may have several: event ``row_X`` has the code ``code_X``."""

    row_X: Integers
    code_X: Integers


@dataclass(frozen=True, slots=True)
class Frame:
    """The events.

    Attributes:
        time_N: microseconds since the Unix epoch, never decreasing.
        table: ``event_id``, ``user_id``, ``item_id``, ``target``, and attributes by name, as read.
        keys: by entity name, its ids as codes.
        attributes: by name, numbers (a category's code), NaN where unknown; only attributes of one value.
        many: by name, the attributes of several values.
        values: by column, what aggregates read, NaN where it is missing; integers and flags without gaps as int64.
        context: by column, what requests bring.
    """

    time_N: Integers
    table: pa.Table
    keys: Mapping[str, Codes]
    attributes: Mapping[str, Floats]
    many: Mapping[str, Many]
    values: Mapping[str, npt.NDArray[np.generic]]
    context: Mapping[str, pa.Array]

    def __len__(self) -> int:
        return len(self.time_N)


def load_frame(plan: Plan, connection: duckdb.DuckDBPyConnection, relations: Relations) -> Frame:
    """Read the events of *plan*'s system from *relations*."""
    table = connection.sql(_events(plan, relations)).to_arrow_table().combine_chunks()
    time_N = _integers(table["t"])
    if (time_N[1:] < time_N[:-1]).any():
        order_N = np.argsort(time_N, kind="stable")
        table, time_N = table.take(pa.array(order_N)).combine_chunks(), time_N[order_N]
    system = plan.system
    return Frame(
        time_N=time_N,
        table=table,
        keys={entity.name: _codes(table[column]) for entity, column in _id_columns(plan).items()},
        attributes={a.name: _floats(table[a.name]) for a in plan.attributes if not a.many},
        many={a.name: _many(table[a.name]) for a in plan.attributes if a.many},
        values={name: _numbers(table[f"v_{name}"]) for name in _value_columns(plan)},
        context={name: table[f"c_{name}"] for name in _context_columns(system.declared.values())},
    )


def _id_columns(plan: Plan) -> dict[Entity, str]:
    return {plan.system.user: "user_id", plan.system.item: "item_id"}


def _value_columns(plan: Plan) -> list[str]:
    values = (aggregate.value for aggregate in plan.aggregates if aggregate.value is not None)
    return sorted({(v.column if isinstance(v, Residual) else v).column.name for v in values})


def _context_columns(expressions: Iterable[Expression]) -> list[str]:
    return sorted({e.column.column.name for e in expressions if isinstance(e, OneHot)})


def _codes(column: pa.ChunkedArray) -> Codes:
    if pa.types.is_integer(column.type):
        return codes_of_integers(_integers(column))
    encoded = pc.dictionary_encode(column).combine_chunks()
    return Codes(_integers(pa.chunked_array([encoded.indices])), len(encoded.dictionary))


def _integers(column: pa.ChunkedArray) -> Integers:
    return np.asarray(column.cast(pa.int64()).to_numpy())


def _floats(column: pa.ChunkedArray) -> Floats:
    return np.asarray(pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy())


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.generic]:
    whole = pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)
    return _integers(column) if whole and not column.null_count else _floats(column)


def _many(column: pa.ChunkedArray) -> Many:
    lists = column.combine_chunks()
    return Many(
        np.asarray(pc.list_parent_indices(lists).cast(pa.int64()).to_numpy(zero_copy_only=False)),
        np.asarray(pc.list_flatten(lists).cast(pa.int64()).to_numpy(zero_copy_only=False)),
    )


def _events(plan: Plan, relations: Relations) -> str:
    """Return events with the attributes of their entities, categories as codes."""
    system = plan.system
    schema = system.source.schema
    parts = [
        f"e.{quoted(schema.key)} AS event_id",
        f"e.{quoted(system.user.key)} AS user_id",
        f"e.{quoted(system.item.key)} AS item_id",
        f"epoch_us(e.{quoted(schema.time or '')}) AS t",
        f"e.{quoted(system.label.column.name)} AS target",
        *(f"e.{quoted(column)} AS {quoted(f'v_{column}')}" for column in _value_columns(plan)),
        *(
            f"CAST(e.{quoted(column)} AS VARCHAR) AS {quoted(f'c_{column}')}"
            for column in _context_columns(system.declared.values())
        ),
    ]
    joins = []
    for alias, entity in (("u", system.user), ("i", system.item)):
        attributes = [a for a in plan.attributes if a.entity == entity]
        if not attributes:
            continue
        parts += [f"{alias}.{quoted(a.name)}" for a in attributes]
        table = relations.get(entity.table or "")
        codes = ", ".join(f"{attribute_sql(a) if table else _absent(a)} AS {quoted(a.name)}" for a in attributes)
        inner = (
            f"SELECT {quoted(entity.key)} AS id, {codes} FROM {table}"
            if table
            else f"SELECT NULL AS id, {codes} WHERE false"
        )
        joins.append(f"LEFT JOIN ({inner}) {alias} ON {alias}.id = e.{quoted(entity.key)}")
    return f"SELECT {', '.join(parts)} FROM {relations[system.source.name]} e {' '.join(joins)}"


def attribute_sql(attribute: Attribute) -> str:
    """Return the value of an attribute as features use it: number, microseconds, code, or list of codes."""
    column = quoted(attribute.column.name)
    if attribute.column.type == "time":
        return f"epoch_us({column})"
    if not attribute.categorical:
        return f"CAST({column} AS DOUBLE)"
    choices = "[" + ", ".join(literal(value) for value in attribute.values) + "]"
    if attribute.many:
        position = f"list_position({choices}, CAST(x AS VARCHAR))"
        return f"list_sort(list_distinct([{position} - 1 FOR x IN {column} IF {position} > 0]))"
    return f"nullif(coalesce(list_position({choices}, CAST({column} AS VARCHAR)), 0), 0) - 1"


def _absent(attribute: Attribute) -> str:
    kind = "INTEGER[]" if attribute.many else "BIGINT" if attribute.column.type == "time" else "DOUBLE"
    return f"CAST(NULL AS {'INTEGER' if attribute.categorical and not attribute.many else kind})"
