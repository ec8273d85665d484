"""Logged features computed again from history, as of each request, under one or another assumption of what was seen.

Legend: N rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.errors import UserError
from orita.core.sql import quoted
from orita.features.api.relations import Tables
from orita.features.declarations import Source
from orita.features.declaring.columns import feature_columns
from orita.features.declaring.parts import aggregates_in, attributes_in
from orita.features.history import offline_features
from orita.features.history.keyed import AsOf
from orita.features.plan import Plan
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.features.system import System
from orita.monitoring.skew import asked_again
from orita.pipelines.replaying.events import Replayed

__all__ = ["Assumption", "Floats", "Judged", "Rebuilding", "logged_values"]

Floats = npt.NDArray[np.float64]

_RELATIVE, _ABSOLUTE = 1e-6, 1e-12
_DISTINCT_ERROR = 0.05
QUANTILE = "a quantile of a sketch: its error is one of rank, so that no value of it is wrong by itself"
CHANGED = "declared otherwise when the model was trained, and no more computed"
NOT_LOGGED = "not among the logged features"


@dataclass(frozen=True, slots=True)
class Assumption:
    """What may have been seen online.

    Attributes:
        kind: of the difference, where the logged values follow from it.
        note: more words of it.
        relations: the events.
        as_of: whether events are seen once they are known, or from their time on.
        later: microseconds by which the request's time was another.
        held: microseconds by which events were known later.
    """

    kind: str
    note: str
    relations: Mapping[str, str]
    as_of: AsOf = "known"
    later: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class Judged:
    """Which columns of a model can be compared.

    Attributes:
        columns: those that can.
        called: what engines call them.
        left_out: the others, with the reason.
    """

    columns: tuple[FeatureColumn, ...]
    called: Mapping[str, str]
    left_out: Mapping[str, str]


class Rebuilding:
    """Computes logged features again.

    Args:
        system: the declarations.
        plan: of its features.
        tables: the lake's tables.
        replayed: the events.
        connection: where they can be read.
    """

    def __init__(
        self,
        system: System,
        plan: Plan,
        tables: Tables,
        replayed: Replayed,
        connection: duckdb.DuckDBPyConnection,
    ) -> None:
        self._system, self._plan, self._tables, self._connection = system, plan, tables, connection
        self.replayed = replayed
        self._sources = {record.source.name: record.source for record in plan.records}
        self._made = {
            column.name: expression
            for name, expression in system.kept.items()
            for column in feature_columns(name, expression, system.user, system.item)
        }

    def judged(self, schema: FeatureSchema, logged: pa.Table) -> Judged:
        """Return which columns of *schema* can be compared in *logged* rows."""
        left_out, columns, called = dict[str, str](), list[FeatureColumn](), dict[str, str]()
        there = {field.name for field in logged["features"].type}
        for column in schema.columns:
            try:
                (name,) = self._system.check(FeatureSchema((column,)), "the model")
            except UserError:
                left_out[column.name] = CHANGED
                continue
            functions = {aggregate.function for aggregate in aggregates_in(self._made[name])}
            if column.name not in there:
                left_out[column.name] = NOT_LOGGED
            elif "quantile" in functions:
                left_out[column.name] = QUANTILE
            else:
                columns.append(column)
                called[column.name] = name
        _, untold = asked_again(self._system, called, logged, self._tables)
        kept = tuple(column for column in columns if column.name not in untold)
        return Judged(kept, {column.name: called[column.name] for column in kept}, {**left_out, **untold})

    def values(self, judged: Judged, logged: pa.Table, assumed: Assumption | None = None) -> dict[str, Floats]:
        """Return the columns of *judged* for *logged* rows, as float32 has them, NaN where missing.

        Args:
            judged: which.
            logged: rows of the prediction log.
            assumed: what was seen; None: what was known at the request's time.
        """
        assumed = assumed or Assumption("", "", self.replayed.relations)
        if not judged.columns or not len(logged):
            return {column.name: np.empty(0) for column in judged.columns}
        rows, _ = asked_again(self._system, judged.called, logged, self._tables)
        time = self._system.source.schema.time or ""
        if assumed.later:
            moved = pc.add(rows[time], pa.scalar(assumed.later, pa.duration("us")))
            rows = rows.set_column(rows.column_names.index(time), time, moved)
        relations = {
            name: self._held(name, relation, assumed.held) if assumed.held else relation
            for name, relation in assumed.relations.items()
        }
        schema = FeatureSchema(tuple(replace(c, name=judged.called[c.name]) for c in judged.columns))
        made = offline_features(self._plan, self._connection, relations, rows, schema, assumed.as_of, unique=True)
        return {column.name: _numbers(made[judged.called[column.name]]) for column in judged.columns}

    def same(self, judged: Judged, name: str, was_N: Floats, is_N: Floats) -> npt.NDArray[np.bool_]:
        """Return in which rows a logged and a rebuilt value are the same, within what their type allows."""
        (column,) = (each for each in judged.columns if each.name == name)
        functions = {aggregate.function for aggregate in aggregates_in(self._made[judged.called[name]])}
        same_N = (np.isnan(was_N) & np.isnan(is_N)) | (was_N == is_N)
        if "approx_distinct" in functions:
            relative = _DISTINCT_ERROR
        elif column.kind == "number":
            relative = _RELATIVE
        else:
            return np.asarray(same_N)
        with np.errstate(invalid="ignore"):  # ∞ − ∞
            gap_N = np.abs(was_N - is_N)
        return np.asarray(same_N | (gap_N <= relative * np.maximum(np.abs(was_N), np.abs(is_N)) + _ABSOLUTE))

    def tables_of(self, judged: Judged, name: str) -> set[str]:
        """Return the tables of entities whose attributes a column reads."""
        return {each.entity.table for each in attributes_in(self._made[judged.called[name]]) if each.entity.table}

    def _held(self, name: str, relation: str, micros: int) -> str:
        """Return SQL of events that became known so much later."""
        source = self._sources.get(name)
        if source is None or source.schema.ingested is None:
            return relation
        there = self._connection.sql(f"SELECT * FROM {relation} LIMIT 0").columns
        known = f"{_known(source, there)} + to_microseconds({micros}) AS {quoted(source.schema.ingested)}"
        if source.schema.ingested in there:
            return f"(SELECT * REPLACE ({known}) FROM {relation})"
        return f"(SELECT *, {known} FROM {relation})"


def logged_values(logged: pa.Table, name: str) -> Floats:
    """Return the logged values of a feature, NaN where missing."""
    return _numbers(pc.struct_field(logged["features"], name))


def _known(source: Source, there: list[str]) -> str:
    """Return SQL of when an event became known."""
    time = quoted(source.schema.time or "")
    known = f"{time} + to_microseconds({source.delay_micros})"
    if source.schema.ingested in there:
        known = f"greatest({time}, coalesce({quoted(source.schema.ingested or '')}, {known}))"
    return known


def _numbers(values: pa.ChunkedArray) -> Floats:
    return np.asarray(pc.fill_null(values.cast(pa.float32()), np.nan).to_numpy()).astype(np.float64)
