"""Tables of events as the engines read them: the columns that a plan needs, with the attributes of their entities.

Nothing is sorted and no row is lost: a table is read in the order that it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.errors import UserError, closest
from orita.core.sql import literal, quoted
from orita.features.batch import attribute_column, known_times
from orita.features.declarations import Attribute, Entity, Residual, Source
from orita.features.declaring.conditions import columns_of
from orita.features.declaring.parts import context_in
from orita.features.plan import Plan

__all__ = [
    "Relations",
    "attribute_sql",
    "attribute_tables",
    "grouping_attributes",
    "load_events",
    "matching_types",
    "with_attributes",
]

Relations = Mapping[str, str]
"""For each table name, SQL that can stand behind FROM; an absent entity table has no attributes yet."""

_DIGEST = "@digest"
_BATCH = 1 << 20

AttributeTables = Mapping[str, pa.Table]
"""For each entity, by name: its ids as ``id``, and its attributes as numbers or lists of codes by their name."""


def load_events(
    plan: Plan,
    source: Source,
    connection: duckdb.DuckDBPyConnection,
    relations: Relations,
    *,
    unique: bool = False,
) -> pa.Table:
    """Return the events of *source*, with what *plan* reads of them.

    Args:
        plan: what will be computed.
        source: whose events.
        connection: where *relations* can be read.
        relations: SQL of each table.
        unique: whether every id is there once, as in the lake. Otherwise that is checked, and of several rows of one id
            the one that became known first is kept.

    Raises:
        UserError: the table has no time column, or an event has no time.
    """
    relation = relations.get(source.name)
    if relation is None:
        raise UserError(f"there is no table {source.name!r} to read events from. {closest(source.name, relations)}")
    there = connection.sql(f"SELECT * FROM {relation} LIMIT 0").columns
    time = source.schema.time or ""
    if time not in there:
        raise UserError(f"table {source.name!r} has no column {time!r}, the time of its events. {closest(time, there)}")
    named = ", ".join(quoted(name) for name in _needed(plan, source) if name in there)
    unique = unique or source.schema.key not in there
    if not unique:
        named += f", hash({quoted(source.schema.key)}) AS {quoted(_DIGEST)}"
    table = _read(connection, f"SELECT {named} FROM {relation}")
    if table[time].null_count:
        raise UserError(f"table {source.name!r} has {table[time].null_count} events without {time!r}: give them one.")
    return table if unique else _first_known(table, source)


def grouping_attributes(plan: Plan, source: Source) -> tuple[Attribute, ...]:
    """Return the attributes that events of *source* need: as keys of aggregates, and as rows that ask."""
    keys = (a.attribute for a in plan.aggregates if a.source == source and a.attribute is not None)
    own = plan.attributes if source == plan.system.source else ()
    return tuple(dict.fromkeys((*own, *keys)))


def attribute_tables(plan: Plan, connection: duckdb.DuckDBPyConnection, relations: Relations) -> dict[str, pa.Table]:
    """Return what is known of each entity; an entity without a table has none."""
    tables = {}
    for entity in dict.fromkeys(attribute.entity for attribute in plan.attributes):
        relation = relations.get(entity.table or "")
        if relation is None:
            continue
        held = {a.name: a for a in plan.attributes if a.entity == entity}
        named = ", ".join(f"{attribute_sql(a)} AS {quoted(name)}" for name, a in held.items())
        query = f"SELECT {quoted(entity.table_column)} AS id, {named} FROM {relation}"
        tables[entity.name] = connection.sql(query).to_arrow_table()
    return tables


def with_attributes(
    table: pa.Table, attributes: Iterable[Attribute], key_of: Mapping[Entity, str], tables: AttributeTables
) -> pa.Table:
    """Return *table* with a column `attribute_column` for each of *attributes*.

    Args:
        table: events or rows.
        attributes: which are needed.
        key_of: the column that holds the id of each entity.
        tables: what is known of each entity.
    """
    places: dict[Entity, pa.Array] = {}
    for attribute in attributes:
        entity, known = attribute.entity, tables.get(attribute.entity.name)
        if known is None:
            absent = pa.list_(pa.int32()) if attribute.many else pa.float64()
            table = table.append_column(attribute_column(attribute), pa.nulls(len(table), absent))
            continue
        if entity not in places:
            named = key_of[entity] in table.column_names  # ids of which only nulls were seen are not stored
            asked = table[key_of[entity]] if named else pa.chunked_array([pa.nulls(len(table))])
            ids, wanted = matching_types(entity.table_column, known["id"], asked)
            places[entity] = pc.index_in(wanted, ids.combine_chunks(), skip_nulls=True)
        values = known[attribute.name].combine_chunks().take(places[entity])
        table = table.append_column(attribute_column(attribute), values)
    return table


def matching_types(what: str, *columns: pa.ChunkedArray) -> tuple[pa.ChunkedArray, ...]:
    """Return columns of ids as one type: numbers as int64, everything else as text.

    Raises:
        UserError: one holds numbers, another does not; the sentence says it of *what*.
    """
    kinds = {_kind(column.type) for column in columns} - {"null"}
    if len(kinds) > 1:
        types = " and ".join(str(column.type) for column in columns)
        raise UserError(f"the key {what!r} is of the types {types}: give it one type in both tables.")
    wanted = pa.int64() if kinds == {"number"} else pa.string()
    return tuple(_cast(column, wanted) for column in columns)


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


def _needed(plan: Plan, source: Source) -> list[str]:
    """Return the columns of *source* that a plan reads."""
    schema = source.schema
    names = [schema.key, schema.time or "", *([schema.ingested] if schema.ingested else [])]
    entities: list[Entity] = [attribute.entity for attribute in grouping_attributes(plan, source)]
    for aggregate in plan.aggregates:
        if aggregate.source != source:
            continue
        entities += aggregate.entities
        if isinstance(aggregate.value, Residual):
            names.append(aggregate.value.column.column.name)
            entities += aggregate.value.expected.looked_up
        names += [v.column.name for v in (aggregate.value, aggregate.denominator) if v and not isinstance(v, Residual)]
        names += columns_of(aggregate.condition)
    if source == plan.system.source:
        system = plan.system
        entities += [*plan.entities, system.user, system.item]
        names += [told.column.name for told in (system.label, *system.outcomes.values())]
        names += (n for e in system.kept.values() for n in context_in(e))
    names += [column for entity in entities for column in source.key_columns(entity)]
    return list(dict.fromkeys(names))


def _first_known(table: pa.Table, source: Source) -> pa.Table:
    """Return the events with every id once, the one that became known first; an event without an id stays.

    Different digests are different ids: only where two are equal are the ids themselves compared.
    """
    digests_N = np.sort(table[_DIGEST].to_numpy())
    table = table.drop_columns(_DIGEST)
    if (digests_N[1:] != digests_N[:-1]).all():
        return table
    key, known_N = table[source.schema.key], known_times(table, source)
    order_N = np.argsort(known_N, kind="stable")
    valid_N = np.asarray(pc.is_valid(key).to_numpy())
    order_N = order_N[valid_N[order_N]]
    first = pa.table({"key": key.take(order_N), "row": order_N}).group_by("key", use_threads=False)
    kept = first.aggregate([("row", "first")])["row_first"].to_numpy()
    return table.take(np.sort(np.concatenate([kept, np.flatnonzero(~valid_N)])))


def _read(connection: duckdb.DuckDBPyConnection, query: str) -> pa.Table:
    """Return what *query* gives, each column in one piece.

    The database lends its memory batch by batch and keeps it while any column of a batch is held: batches are copied,
    and the pieces of a column are given back before the next is put together.
    """
    manager = pa.default_cpu_memory_manager()
    with connection.sql(query).to_arrow_reader(_BATCH) as reader:
        names, types = reader.schema.names, reader.schema.types
        pieces = [[pa.array([], type_)] for type_ in types]
        for batch in reader:
            for held, column in zip(pieces, batch.columns, strict=True):
                held.append(column.copy_to(manager))
    columns = []
    while pieces:
        columns.append(pa.concat_arrays(pieces.pop(0)))
    return pa.table(columns, names)


def _kind(type_: pa.DataType) -> str:
    return "null" if pa.types.is_null(type_) else "number" if pa.types.is_integer(type_) else "text"


def _cast(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    return column if column.type == wanted else column.cast(wanted, safe=not pa.types.is_unsigned_integer(column.type))
