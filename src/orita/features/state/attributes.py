"""Attributes of entities in state: rows of a table written into records, and read back for the events that need them.

Legend: N events, K entities, D different ids.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.features.batch import attribute_column
from orita.features.declarations import Attribute, Entity, Source
from orita.features.keys import encode_rows
from orita.features.plan import Plan, Record
from orita.features.state.keying import id_array, id_values
from orita.features.state.layout import row_prefix
from orita.features.state.rows import GetMany, rows_of, sliced
from orita.features.stores.store import Change

__all__ = ["attribute_changes", "with_attributes"]

Floats = npt.NDArray[np.float64]


def attribute_changes(plan: Plan, get_many: GetMany, entity: Entity, table: pa.Table) -> list[Change]:
    """Return what the store must change so that the entities of *table* have its attributes; all else stays.

    Args:
        plan: what is kept.
        get_many: reads the state as it is.
        entity: whose attributes; roles share them.
        table: ids as ``id``, and attributes by name, as `frame.attribute_tables` has them; one that is absent stays as
            it is. Of two rows of an id the later counts; rows without an id are passed over.
    """
    record = _home(plan, entity)
    if record is None:
        return []
    table = table.filter(pc.is_valid(table["id"])).combine_chunks()
    ids_K = id_values(id_array(table, "id"))
    keys = encode_rows(row_prefix(plan, record), [ids_K], len(table))
    state_KW = rows_of(record, get_many(keys))
    for slots in record.attributes:
        attribute = Attribute(entity, slots.attribute.column)
        if attribute.name in table.column_names:
            state_KW[:, slots.start : slots.start + slots.width] = _coded(attribute, table)
    return list(zip(keys, sliced(state_KW), strict=True))


def with_attributes(plan: Plan, source: Source, table: pa.Table, get_many: GetMany) -> pa.Table:
    """Return *table* with the attributes of its events' entities, as `event_batch` takes them.

    Args:
        plan: what is kept.
        source: whose events they are.
        table: events.
        get_many: reads the state.
    """
    needed = {a.attribute for a in plan.aggregates if a.source == source}
    for attribute in plan.attributes:
        column = _read(plan, attribute, source, table, get_many) if attribute in needed else _unknown(attribute, table)
        table = table.append_column(attribute_column(attribute), column)
    return table


def _home(plan: Plan, entity: Entity) -> Record | None:
    for record in plan.records:
        if record.attributes and record.entities[0].kind == entity.kind:
            return record
    return None


def _unknown(attribute: Attribute, table: pa.Table) -> pa.Array:
    return pa.nulls(len(table), pa.list_(pa.int64()) if attribute.many else pa.float64())


def _read(plan: Plan, attribute: Attribute, source: Source, table: pa.Table, get_many: GetMany) -> pa.Array:
    """Return an attribute of the entity of each event, from the entity's record."""
    position, slots = plan.attribute_place(attribute)
    record = plan.reads[position].record
    (name,) = source.key_columns(attribute.entity)
    encoded = id_array(table, name).dictionary_encode()
    size = len(encoded.dictionary)
    keys = encode_rows(row_prefix(plan, record), [id_values(encoded.dictionary)], size)
    state_DW = rows_of(record, get_many(keys))[:, slots.start : slots.start + slots.width]
    code_N = np.asarray(pc.fill_null(encoded.indices, size).to_numpy(zero_copy_only=False))
    if not attribute.many:
        return pa.array(np.append(state_DW[:, 0], np.nan)[code_N])
    flags_NV = np.concatenate([state_DW, np.zeros((1, slots.width))])[code_N] > 0
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(flags_NV.sum(axis=1))])
    return pa.LargeListArray.from_arrays(pa.array(ends), pa.array(np.nonzero(flags_NV)[1]))


def _coded(attribute: Attribute, table: pa.Table) -> Floats:
    """Return an attribute of each entity, [K, 1], or flags for its values, [K, values]."""
    if not attribute.many:
        return _floats(table[attribute.name])[:, None]
    flags_KV = np.zeros((len(table), len(attribute.values)))
    lists = table[attribute.name].combine_chunks()
    row_X, code_X = pc.list_parent_indices(lists), pc.list_flatten(lists)
    flags_KV[row_X.to_numpy(zero_copy_only=False), code_X.to_numpy(zero_copy_only=False)] = 1
    return flags_KV


def _floats(column: pa.ChunkedArray | pa.Array) -> Floats:
    return np.asarray(pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False))
