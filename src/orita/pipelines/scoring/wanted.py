"""What is read of the input: rows that ask for features, or rows that have them; the columns say which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from orita.core.errors import UserError, closest
from orita.events.schema import Column
from orita.features.declarations import Entity
from orita.features.declaring.parts import context_in
from orita.features.plan import Plan
from orita.features.schema import FeatureSchema
from orita.features.system import System

__all__ = ["Wanted", "computed", "ready", "refuse_missing"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is read of the input, and what for.

    Attributes:
        features: ``computed`` by the engine as of each row's time, or ``ready`` in the input.
        user, item: the columns of the ids.
        time: the column of times; empty where features are ready, as nothing is looked up then.
        columns: what is judged: ids, the time, what features read of a row, and features that are ready.
        keys: the columns that come out before the score, in order.
        keep: what is copied as it is.
        absent: what features would read of a row and no row has, such as ``device``; it counts as missing.
        timed: whether rows have times of their own.
    """

    features: Literal["computed", "ready"]
    user: tuple[str, ...]
    item: tuple[str, ...]
    time: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...]
    keep: tuple[str, ...]
    absent: tuple[str, ...]
    timed: bool


def refuse_missing(there: pa.Schema, system: System, schema: FeatureSchema, keep: Sequence[str]) -> None:
    """Refuse an input without ids or without a column to *keep*, or with some of the features and not with others.

    Raises:
        UserError: it is such; the sentence names what is missing.
    """
    for name in (*system.user.columns, *system.item.columns, *keep):
        if name not in there.names:
            raise UserError(f"the input has no column {name!r}, which is needed. {closest(name, there.names)}")
    lacking = [name for name in schema.names if name not in there.names]
    # A name that events have too, such as day_of_week, does not tell that features were brought.
    told = [n for n in schema.names if n in there.names and n not in system.source.schema.names]
    if told and lacking:
        raise UserError(
            f"the input has the features {_listed(told)} of the {len(schema)} that the model reads, and lacks "
            f"{_listed(lacking)}: give all of them, or none, and they are computed as of each row's time."
        )


def ready(there: pa.Schema, system: System, schema: FeatureSchema, keep: Sequence[str]) -> Wanted:
    """Return what is read of an input that has every feature of *schema*; arguments as of `computed`.

    Raises:
        UserError: a column is of a type that it cannot have.
    """
    time = system.source.schema.time or ""
    ids, timed = _ids(system), time in there.names
    features = tuple(Column(name, "float") for name in schema.names)
    _check_types(there, ids, features)
    keys = (*(column.name for column in ids), *([time] if timed else []))
    kept = (*([time] if timed else []), *(name for name in keep if name not in keys))
    return Wanted("ready", system.user.columns, system.item.columns, "", (*ids, *features), keys, kept, (), timed)


def computed(there: pa.Schema, plan: Plan, keep: Sequence[str]) -> Wanted:
    """Return what is read of an input whose features are computed.

    Args:
        there: names and types of the input's columns.
        plan: of the features that the model reads.
        keep: further columns to copy.

    Raises:
        UserError: an id is missing, or of a type that it cannot have.
    """
    system = plan.system
    time = system.source.schema.time or ""
    ids, timed = _ids(system), time in there.names
    keys = (*(column.name for column in ids), *([time] if timed else []))
    users, items = system.user.columns, system.item.columns
    needed = [*plan.entities, *(attribute.entity for attribute in plan.attributes)]
    others = _others(needed, {*users, *items}, there)
    context = dict.fromkeys(n for expression in system.kept.values() for n in context_in(expression) if n != time)
    told = [replace(system.source.schema.column(n), required=False, agrees=None) for n in context if n not in keys]
    read = tuple(column for column in told if column.name in there.names)
    absent = tuple(column.name for column in told if column.name not in there.names)
    known = {column.name for column in others}
    columns = (*ids, Column(time, "time", required=True), *others, *(c for c in read if c.name not in known))
    _check_types(there, (*ids, *others), ())
    kept = tuple(name for name in keep if name not in keys)
    return Wanted("computed", users, items, time, columns, keys, kept, absent, timed)


def _ids(system: System) -> tuple[Column, ...]:
    return tuple(Column(n, "id", required=True) for n in dict.fromkeys((*system.user.columns, *system.item.columns)))


def _others(entities: Sequence[Entity], known: set[str], there: pa.Schema) -> tuple[Column, ...]:
    """Return the ids of further entities, such as ``merchant_id``; a row may lack one and then sees nothing of it."""
    names = [name for name in dict.fromkeys(c for entity in entities for c in entity.columns) if name not in known]
    for name in names:
        if name not in there.names:
            raise UserError(
                f"the input has no column {name!r}, by which features are looked up. {closest(name, there.names)}"
            )
    return tuple(Column(name, "id") for name in names)


def _check_types(there: pa.Schema, ids: Sequence[Column], numbers: Sequence[Column]) -> None:
    for column in ids:
        kind = there.field(column.name).type
        if not (_is_number(kind) or _is_text(kind) or pa.types.is_null(kind)):
            raise UserError(f"the input has {column.name!r} as {kind}: ids are whole numbers or texts.")
    for column in numbers:
        kind = there.field(column.name).type
        if not (_is_number(kind) or _is_text(kind) or pa.types.is_null(kind) or pa.types.is_boolean(kind)):
            raise UserError(f"the input has the feature {column.name!r} as {kind}, and the model reads numbers.")


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
