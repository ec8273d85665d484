"""Filling an online store from tables: attributes first, then events, counted as the stream counts them.

It goes piece by piece, in the order of time. What a piece changes and that it was counted are one step of the store, so
that a filling that was killed goes on where it was, and needs no more memory than a piece. Legend: N events.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.core.errors import OritaError, UserError
from orita.core.progress import SILENT, Progress
from orita.core.sql import quoted
from orita.features.batch import event_batch, times_of
from orita.features.declarations import Residual, Source
from orita.features.frame import Relations, attribute_tables, grouping_attributes, load_events
from orita.features.generations.steps import MOST_CHANGES, apply_in_pieces, is_torn
from orita.features.keys import id_kind
from orita.features.plan import Plan
from orita.features.state.attributes import attribute_changes, with_attributes
from orita.features.state.keying import id_array
from orita.features.state.layout import RESERVED, row_prefix
from orita.features.state.update import state_changes
from orita.features.stores.store import Change, OnlineStore
from orita.features.stream.filled_ids import filled_ids
from orita.features.stream.held import held_changes, visible_from
from orita.features.stream.recent_ids import HORIZON

__all__ = ["EVENTS_AT_ONCE", "Filled", "fill_store"]

EVENTS_AT_ONCE = 500_000
"""Events of a piece, unless more happened in one instant."""

_NOTES = RESERVED + b"filling"
_ATTRIBUTES = "@attributes"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Filled:
    """What a store was filled with.

    Attributes:
        watermark: time of the latest event of the system's source, None without events.
        events: how many events of the system's source.
        records: number of records by kind.
        string_ids: names of ids that are texts, as `keys.id_kind` has them.
        unknown_ids: names of ids of which none was seen, likewise.
        due: when the first of the events that it holds, as they are not known yet, counts; None without any.
    """

    watermark: int | None
    events: int
    records: dict[str, int]
    string_ids: tuple[str, ...]
    unknown_ids: tuple[str, ...]
    due: int | None


def fill_store(
    plan: Plan,
    connection: duckdb.DuckDBPyConnection,
    relations: Relations,
    store: OnlineStore,
    *,
    unique: bool = False,
    known_by: int | None = None,
    offsets: Mapping[str, int] | None = None,
    at_once: int = EVENTS_AT_ONCE,
    most_changes: int = MOST_CHANGES,
    progress: Progress = SILENT,
) -> Filled:
    """Write the state after every event in *relations* into a store that is empty, or that this has begun to fill.

    Args:
        plan, connection, relations, unique, known_by, offsets, progress: as in `publish.publish`; a filling that goes
            on keeps the *known_by* that it began with.
        store: where.
        at_once: events of a piece. Tables whose ids may repeat, and features of residuals, are one piece.
        most_changes: records that a step of the store changes at most.

    Raises:
        UserError: the ids of one entity are numbers in one table and text in another.
        OritaError: someone else is filling the store.
    """
    filling = _Filling.resumed(plan, store, most_changes, known_by)
    filling.attributes(connection, relations)
    whole = not unique or bool(plan.residuals)
    for source in dict.fromkeys(record.source for record in plan.records):
        if source.name not in relations:
            continue
        pieces = [relations] if whole else _pieces(source, connection, relations, at_once)
        with progress.bar(f"Publish {source.name}", total=len(pieces)) as bar:
            for number, piece in enumerate(pieces):
                if number >= filling.done[source.name]:
                    filling.count(source, number, load_events(plan, source, connection, piece, unique=unique))
                bar.advance()
        filling.identify(source, connection, relations[source.name], offsets or {})
    return filling.notes.filled(plan)


def _pieces(
    source: Source, connection: duckdb.DuckDBPyConnection, relations: Relations, at_once: int
) -> list[Relations]:
    """Return relations that hold a stretch of the source's time each: the same for the same table."""
    time, table = quoted(source.schema.time or ""), relations[source.name]
    ((rows,),) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
    count = max(1, -(-rows // at_once))
    shares = [number / count for number in range(1, count)]
    cuts: list[str] = []
    if shares:
        ((found,),) = connection.execute(
            f"SELECT CAST(quantile_disc({time}, {shares!r}) AS VARCHAR[]) FROM {table}"
        ).fetchall()
        cuts = list(dict.fromkeys(found))
    kind = connection.sql(f"SELECT {time} FROM {table} LIMIT 0").types[0]
    bounds = [f"CAST('{cut}' AS {kind})" for cut in cuts]
    made: list[Relations] = []
    for low, high in zip([None, *bounds], [*bounds, None], strict=True):
        within = [f"{time} >= {low}"] * (low is not None) + [f"{time} < {high}"] * (high is not None)
        piece = f"(SELECT * FROM {table} WHERE {' AND '.join(within) or 'true'})"
        made.append({**relations, source.name: piece})
    return made


def _residuals(plan: Plan, source: Source, table: pa.Table) -> Mapping[Residual, Floats]:
    """Return the residuals of the source's events, where the plan has any."""
    if not any(residual.column.source == source for residual in plan.residuals):
        return {}
    from orita.features.history import residual_values

    return residual_values(plan, {source.name: table})


@dataclass(slots=True)
class _Notes:
    """What is known of a filling; it stands in the store, and changes with it.

    Attributes:
        counts: records by the number of their kind.
        texts: by the name of an id, whether it is a text, and in which table that was seen.
        events, watermark: of the system's source.
        known_by: as of when events count, microseconds; None: all of them.
        due: as in `Filled`.
        held: by source, how many records of events there are that do not count yet.
    """

    counts: Counter[int] = field(default_factory=Counter)
    texts: dict[str, tuple[bool, str]] = field(default_factory=dict)
    events: int = 0
    watermark: int | None = None
    known_by: int | None = None
    due: int | None = None
    held: Counter[str] = field(default_factory=Counter)

    def written(self) -> bytes:
        said = {name: getattr(self, name) for name in ("texts", "events", "watermark", "known_by", "due")}
        return json.dumps({**said, "counts": list(self.counts.items()), "held": dict(self.held)}).encode()

    @classmethod
    def read(cls, raw: bytes) -> _Notes:
        said = json.loads(raw)
        texts = {name: (text, where) for name, (text, where) in said["texts"].items()}
        counts = Counter(dict(said["counts"]))
        return cls(**{**said, "counts": counts, "texts": texts, "held": Counter(said["held"])})

    def filled(self, plan: Plan) -> Filled:
        records = {record.name: self.counts[row_prefix(plan, record)[0]] for record in plan.records}
        texts = sorted(name for name, (text, _) in self.texts.items() if text)
        kinds = {id_kind(e, part) for record in plan.records for e in record.entities for part in range(len(e.columns))}
        unknown = tuple(sorted(kinds - set(self.texts)))
        return Filled(self.watermark, self.events, records, tuple(texts), unknown, self.due)

    def note(self, name: str, column: pa.Array, where: str) -> None:
        """Remember whether ids are texts.

        Raises:
            UserError: they are not what they are elsewhere.
        """
        if pa.types.is_null(column.type) or column.null_count == len(column):
            return
        text = not pa.types.is_integer(column.type)
        known, place = self.texts.setdefault(name, (text, where))
        if text != known:
            kinds = ("numbers", "text")
            raise UserError(
                f"the ids of {name!r} are {kinds[text]} in table {where!r} and {kinds[known]} in table {place!r}: give "
                "them one type."
            )


@dataclass(slots=True)
class _Filling:
    """A store that is being filled: it knows which kinds of keys are still absent, so that these need not be read.

    Attributes:
        done: by name, how many pieces there were when it began; the notes are as of then or later. What another adds
            meanwhile is not in them, and makes the next step fail.
    """

    plan: Plan
    store: OnlineStore
    most_changes: int
    done: Mapping[str, int]
    notes: _Notes
    _new: Counter[int] = field(default_factory=Counter)

    @classmethod
    def resumed(cls, plan: Plan, store: OnlineStore, most_changes: int, known_by: int | None) -> _Filling:
        if is_torn(store):
            store.clear()
        sources = [record.source.name for record in plan.records]
        names = [_ATTRIBUTES, *sources, *map(_ids_of, sources)]
        done = {name: store.offset(_step(name)) or 0 for name in names}
        (raw,) = store.get_many([_NOTES])
        notes = _Notes(known_by=known_by) if raw is None else _Notes.read(raw)
        return cls(plan, store, most_changes, done, notes)

    def attributes(self, connection: duckdb.DuckDBPyConnection, relations: Relations) -> None:
        """Write the attributes of every entity, once."""
        if self.done[_ATTRIBUTES]:
            return
        tables = attribute_tables(self.plan, connection, relations)
        changes: list[Change] = []
        for name, table in tables.items():
            entity = next(a.entity for a in self.plan.attributes if a.entity.name == name)
            self.notes.note(id_kind(entity, 0), id_array(table, "id"), entity.table or name)
            changes += attribute_changes(self.plan, self._to_change, entity, table)
        self._apply(_ATTRIBUTES, 0, changes)

    def count(self, source: Source, number: int, table: pa.Table) -> None:
        """Count the events of a piece; those that are not known yet are left for later, as the stream leaves them."""
        for name, column in self._key_columns(source):
            self.notes.note(name, id_array(table, column), source.name)
        told = with_attributes(self.plan, source, table, self._read)
        residuals = _residuals(self.plan, source, told)
        held: list[Change] = []
        if self.notes.known_by is not None:
            known_N = visible_from(table, source) <= self.notes.known_by
            told = told.filter(pa.array(known_N))
            residuals = {residual: value_N[known_N] for residual, value_N in residuals.items()}
            held = self._held(source, table.filter(pa.array(~known_N)))
        batch = event_batch(source, told, self.plan.aggregates, grouping_attributes(self.plan, source))
        changes = state_changes(self.plan, self._to_change, [batch], residuals)
        if source == self.plan.system.source and len(told):
            self.notes.events += len(told)
            latest = int(times_of(told, source.schema.time or "").max())
            self.notes.watermark = latest if self.notes.watermark is None else max(latest, self.notes.watermark)
        self._apply(source.name, number, [*changes, *held])

    def _held(self, source: Source, table: pa.Table) -> list[Change]:
        """Return what makes the store hold the events of *table*."""
        if not len(table):
            return []
        changes = held_changes(source, table, self.notes.held[source.name])
        first = int(visible_from(table, source).min())
        self.notes.due = first if self.notes.due is None else min(first, self.notes.due)
        self.notes.held[source.name] += len(changes) - 1  # one of them is the list of the others
        return changes

    def identify(
        self, source: Source, connection: duckdb.DuckDBPyConnection, relation: str, offsets: Mapping[str, int]
    ) -> None:
        """Write the ids of the events that became known last, once, so that the stream knows these again."""
        if not self.done[_ids_of(source.name)]:
            changes = filled_ids(source, connection, relation, offsets, HORIZON)
            self._apply(_ids_of(source.name), 0, changes)

    def _key_columns(self, source: Source) -> Iterator[tuple[str, str]]:
        for record in self.plan.records:
            if record.source == source:
                for entity in record.entities:
                    for position, column in enumerate(source.key_columns(entity)):
                        yield id_kind(entity, position), column

    def _read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """Return records; keys of one call are of one kind."""
        if not keys or not self.notes.counts[keys[0][0]]:
            return [None] * len(keys)
        most = self.most_changes
        return [record for at in range(0, len(keys), most) for record in self.store.get_many(keys[at : at + most])]

    def _to_change(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """Return records of which each will be written, once, and count those that are new."""
        found = self._read(keys)
        if keys:
            self._new[keys[0][0]] += sum(record is None for record in found)
        return found

    def _apply(self, name: str, number: int, changes: list[Change]) -> None:
        self.notes.counts.update(self._new)
        self._new.clear()
        noted = [*changes, (_NOTES, self.notes.written())]
        if not apply_in_pieces(self.store, _step(name), number, number + 1, noted, self.most_changes):
            raise OritaError(
                f"someone else is filling the online store of {self.plan.system.name!r}: wait until they are done, and "
                "run this again."
            )


def _step(name: str) -> str:
    """Return under which name the store keeps how many pieces of a source, or of attributes, were counted."""
    return f"filling/{name}"


def _ids_of(source: str) -> str:
    """Return the name of the step that writes the ids of a source's events."""
    return f"@ids/{source}"
