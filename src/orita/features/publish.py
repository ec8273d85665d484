"""From history to the online store: the state after the last event, written as one new generation.

A generation is a folder of its own; readers go on with the one they have until ``CURRENT`` names the next. A killed
publish leaves the old generation in place.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt

from orita.core.files import atomic_file, remove_leftovers
from orita.core.ids import uuid7
from orita.core.progress import SILENT, Progress
from orita.events.engine import quoted
from orita.features.declarations import MICROS_PER_DAY, Aggregate, Entity, Residual
from orita.features.frame import Relations, attribute_sql
from orita.features.generation import META, POINTER, Generation, current_generation
from orita.features.history import compute_history, state_rows
from orita.features.keys import encode_rows
from orita.features.plan import SLOTS, AggregateSlots, Plan, Record
from orita.features.stores.lmdb import LmdbStore

__all__ = ["publish"]


def publish(
    plan: Plan,
    connection: duckdb.DuckDBPyConnection,
    relations: Relations,
    folder: Path,
    *,
    tables: dict[str, int],
    progress: Progress = SILENT,
) -> Generation:
    """Write the state after every event in *relations* as the new generation in *folder*.

    Args:
        plan: what to keep.
        connection: where *relations* can be read.
        relations: SQL of each table.
        folder: the online store of one system.
        tables: lake versions, recorded for lineage.
        progress: where to draw progress.
    """
    folder.mkdir(parents=True, exist_ok=True)
    previous = current_generation(folder)
    connection.register("computed", state_rows(plan, compute_history(plan, connection, relations, final=True)))
    connection.execute("CREATE OR REPLACE TEMP TABLE staged AS SELECT * FROM computed")
    connection.unregister("computed")
    row = connection.execute("SELECT count(*), max(t) FROM staged").fetchone()
    assert row is not None
    events, watermark = row
    generation = folder / f"gen-{uuid7()}"
    written: dict[str, int] = {}
    text_ids: set[str] = set()
    with (
        progress.bar("Publish online features", total=len(plan.records)) as bar,
        closing(LmdbStore(generation)) as store,
    ):
        for number, record in enumerate(plan.records):
            keys, state_NW = _state(record, plan, connection, relations)
            columns = list(keys.values())
            text_ids |= {name for name, column in keys.items() if column.dtype == object}
            written[record.name] = store.put_many(_records(bytes([number]), columns, state_NW))
            bar.advance()
    connection.execute("DROP TABLE staged")
    made = Generation(generation.name, plan.version, watermark, events, written, tuple(sorted(text_ids)), tables)
    with atomic_file(generation / META) as path:
        path.write_text(json.dumps(asdict(made), indent=2))
    with atomic_file(folder / POINTER) as path:
        path.write_text(generation.name)
    _retire(folder, keep={generation.name} | ({previous.name} if previous else set()))
    return made


def _retire(folder: Path, keep: set[str]) -> None:
    """Delete older generations; the previous one stays, since readers may still have it open."""
    remove_leftovers(folder)
    for generation in folder.glob("gen-*"):
        if generation.name not in keep:
            shutil.rmtree(generation)


def _state(
    record: Record, plan: Plan, connection: duckdb.DuckDBPyConnection, relations: Relations
) -> tuple[dict[str, npt.NDArray[np.generic]], npt.NDArray[np.float64]]:
    """Return the ids of every key of one kind, and its slots."""
    keys = [_id_column(entity, plan) for entity in record.entities]
    _number_keys(record, keys, connection, relations)
    ids = connection.execute(f"SELECT {', '.join(keys) or '0 AS k'} FROM positions ORDER BY position").fetchnumpy()
    rows = len(next(iter(ids.values())))
    state_NW = np.full((rows, record.width), np.nan)
    for slots in record.aggregates:
        state_NW[:, slots.start : slots.start + slots.width] = _empty(slots)
    _fill_attributes(record, keys, state_NW, connection, relations)
    join = " AND ".join(f"s.{key} = p.{key}" for key in keys) or "true"
    _fill(
        connection,
        f"SELECT p.position, max(s.t) FROM staged s JOIN positions p ON {join} GROUP BY 1",
        state_NW,
        [0],
    )
    for slots in record.aggregates:
        _fill_aggregate(slots, join, plan, state_NW, connection)
    connection.execute("DROP TABLE positions")
    typed = {entity.name: _ids(ids[key]) for entity, key in zip(record.entities, keys, strict=True)}
    return typed, state_NW


def _id_column(entity: Entity, plan: Plan) -> str:
    return "user_id" if entity == plan.system.user else "item_id"


def _ids(column: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return column.astype(np.int64) if column.dtype.kind in "iu" else column.astype(object)


def _number_keys(record: Record, keys: list[str], connection: duckdb.DuckDBPyConnection, relations: Relations) -> None:
    """Number every key that has an event or a row of attributes, in the order of ids."""
    if not keys:
        connection.execute("CREATE TEMP TABLE positions AS SELECT 0 AS position")
        return
    distinct = f"SELECT DISTINCT {', '.join(keys)} FROM staged"
    if len(record.entities) == 1:
        entity = record.entities[0]
        table = relations.get(entity.table or "")
        if table:
            distinct += f" UNION SELECT {quoted(entity.key)} FROM {table}"
    order = ", ".join(keys)
    connection.execute(
        f"CREATE TEMP TABLE positions AS SELECT {order}, row_number() OVER (ORDER BY {order}) - 1 AS position "
        f"FROM ({distinct})"
    )


def _fill(
    connection: duckdb.DuckDBPyConnection, query: str, state_NW: npt.NDArray[np.float64], slots: list[int]
) -> None:
    """Put the query's columns, after the position, into *slots*."""
    position, *values = connection.execute(query).fetchnumpy().values()
    for slot, value in zip(slots, values, strict=True):
        state_NW[position, slot] = _floats(value)


def _floats(value: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    if isinstance(value, np.ma.MaskedArray):
        return np.ma.filled(value.astype(np.float64), np.nan)
    return value.astype(np.float64)


def _empty(slots: AggregateSlots) -> npt.NDArray[np.float64]:
    zero = {"n": 0.0, "sum": 0.0, "days": 0.0}
    return np.tile([zero.get(name, np.nan) for name in SLOTS[slots.aggregate.function]], slots.groups)


def _fill_attributes(
    record: Record,
    keys: list[str],
    state_NW: npt.NDArray[np.float64],
    connection: duckdb.DuckDBPyConnection,
    relations: Relations,
) -> None:
    for slots in record.attributes:
        attribute = slots.attribute
        table = relations.get(attribute.entity.table or "")
        if not table:
            continue
        coded = f"SELECT {quoted(attribute.entity.key)} AS id, {attribute_sql(attribute)} AS code FROM {table}"
        joined = f"SELECT p.position, c.code FROM ({coded}) c JOIN positions p ON p.{keys[0]} = c.id"
        if attribute.many:
            state_NW[:, slots.start : slots.start + slots.width] = 0
            pairs = connection.execute(f"SELECT position, unnest(code) AS code FROM ({joined})").fetchnumpy()
            state_NW[pairs["position"], slots.start + pairs["code"].astype(np.int64)] = 1
        else:
            _fill(connection, joined, state_NW, [slots.start])


def _fill_aggregate(
    slots: AggregateSlots,
    join: str,
    plan: Plan,
    state_NW: npt.NDArray[np.float64],
    connection: duckdb.DuckDBPyConnection,
) -> None:
    aggregate = slots.aggregate
    attribute = aggregate.attribute
    columns = ", ".join(_slot_sql(aggregate, name, plan) for name in SLOTS[aggregate.function])
    source = "staged"
    group = "CAST(0 AS INTEGER)"
    if attribute is not None:
        group = "g"
        name = quoted(attribute.name)
        unnested = f"unnest({name})" if attribute.many else name
        source = f"(SELECT *, {unnested} AS g FROM staged)"
    query = f"SELECT p.position, {group} AS grp, {columns} FROM {source} s JOIN positions p ON {join} GROUP BY ALL"
    if attribute is not None:
        query = f"SELECT * FROM ({query}) WHERE grp IS NOT NULL"
    position, found, *values = connection.execute(query).fetchnumpy().values()
    width = len(SLOTS[aggregate.function])
    for offset, value in enumerate(values):
        state_NW[position, slots.start + found.astype(np.int64) * width + offset] = _floats(value)


def _value_sql(aggregate: Aggregate, plan: Plan) -> str:
    """Return the column of a staged event that an aggregate reads."""
    if isinstance(aggregate.value, Residual):
        return plan.residual(aggregate.value)
    assert aggregate.value is not None
    return quoted(f"v_{aggregate.value.column.name}")


def _slot_sql(aggregate: Aggregate, slot: str, plan: Plan) -> str:
    match slot:
        case "n" if aggregate.function == "count":
            return "count(*) AS n"
        case "n":
            return f"count({_value_sql(aggregate, plan)}) AS n"
        case "sum":
            return f"coalesce(sum(CAST({_value_sql(aggregate, plan)} AS DOUBLE)), 0) AS total"
        case "last":
            return "max(t) AS last"
        case "first":
            return "min(t) AS first"
        case _:
            return f"count(DISTINCT t // {MICROS_PER_DAY}) AS days"


def _records(
    prefix: bytes, columns: list[npt.NDArray[np.generic]], state_NW: npt.NDArray[np.float64]
) -> Iterator[tuple[bytes, bytes]]:
    width = state_NW.shape[1] * 8
    whole = state_NW.tobytes()
    keys = encode_rows(prefix, columns, len(state_NW))
    return ((key, whole[i * width : (i + 1) * width]) for i, key in enumerate(keys))
