"""The stream engine: takes events from the log, in turns with other workers, and counts each once in the online store.

What it read, what it remembers and how far it came are changed in one transaction of the store, which begins where the
store says it stands: a worker that was killed goes on there, and one that was taken for dead changes nothing. Workers
of different partitions share keys (items, in a log parted by user), so they take turns by an offset of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from orita.core.clock import Clock, SystemClock, to_micros
from orita.events.config import ValidationConfig
from orita.events.log.log import EventLog
from orita.features.batch import event_batch
from orita.features.frame import grouping_attributes
from orita.features.plan import Plan
from orita.features.state.attributes import with_attributes
from orita.features.state.id_kinds import id_columns, learned_kinds, seen_kinds, written_kinds
from orita.features.state.journal import noted
from orita.features.state.layout import RESERVED
from orita.features.state.update import refuse_residuals, state_changes
from orita.features.stores.store import Change, OnlineStore
from orita.features.stream.held import HeldEvents, Parted
from orita.features.stream.intake import Intake, Overtaken, Taken
from orita.features.stream.recent_ids import HORIZON

__all__ = ["Progressed", "StreamWorker"]

_TURN = "turn"


@dataclass(frozen=True, slots=True)
class Progressed:
    """What one step did.

    Attributes:
        counted: events that are in the state now.
        duplicates: events passed over, as one of their id came before.
        unsound: events passed over, as a value breaks a rule; the lake's sink keeps them in quarantine.
        held: events that wait until they are known, as they are from the future, or their source is late.
        due: those of them that are known already; the next step counts them, or some of them.
    """

    counted: int = 0
    duplicates: int = 0
    unsound: int = 0
    held: int = 0
    due: int = 0


class StreamWorker:
    """Keeps the state of one store up with the event log.

    Args:
        plan: what to keep.
        log: where events are; a stream a source, of the source's name.
        store: where state is; its offsets say where to go on.
        group: workers of one group share the partitions; one group a store.
        clock: tells which events are known.
        most_rows: events taken in one transaction.
        horizon: offsets within which an event id counts once.
        id_types: by column, int64 or string, where the ids had a type when the state was published.
        validation: how strictly events are judged, as they are for the lake.
    """

    def __init__(
        self,
        plan: Plan,
        log: EventLog,
        store: OnlineStore,
        group: str,
        *,
        clock: Clock | None = None,
        most_rows: int = 20_000,
        horizon: int = HORIZON,
        id_types: Mapping[str, pa.DataType] | None = None,
        validation: ValidationConfig | None = None,
    ) -> None:
        refuse_residuals(plan)
        self._plan, self._log, self._store, self._group = plan, log, store, group
        self._clock, self._most_rows, self._horizon = clock or SystemClock(), most_rows, horizon
        self._published, self._validation = dict(id_types or {}), validation
        self._id_columns = id_columns(plan)
        self._kinds: dict[str, bool] = {}  # what is known of ids, and what the store has learned of it
        self._stored_kinds: dict[str, bool] = {}
        self._id_types: dict[str, pa.DataType] = {}  # intakes judge by it as it is
        self._sources = {record.source.name: record.source for record in plan.records}
        self._intakes: dict[str, Intake] = {}
        self._held: dict[str, HeldEvents] = {}
        self._counted = False
        self._rejoin()

    def step(self, wait_seconds: float = 0.0) -> Progressed:
        """Take what has arrived, wait up to *wait_seconds* where nothing has, and count it.

        Raises:
            OffsetRetired: the log no longer has what comes next: publish anew from the lake.
        """
        self._counted = False
        progressed = self._step(wait_seconds)
        self._counted = True
        return progressed

    def _step(self, wait_seconds: float) -> Progressed:
        turn = self._turned()
        try:
            taken = {name: self._take(name, wait_seconds / len(self._intakes)) for name in self._intakes}
        except Overtaken:
            self._rejoin()
            return self._progressed()
        now = to_micros(self._clock.now())
        if not any(taken.values()) and not any(held.due(now) for held in self._held.values()):
            return self._progressed()
        return self._apply(taken, turn, now)

    def close(self) -> None:
        """Leave the group; what was not counted is read again by the next worker."""
        self._leave(counted=self._counted)

    def _leave(self, *, counted: bool) -> None:
        for intake in self._intakes.values():
            intake.close(counted=counted)
        self._intakes.clear()

    def _take(self, name: str, wait_seconds: float) -> Taken | None:
        taken = self._intakes[name].take(self._most_rows, wait_seconds)
        if taken is None:
            return None
        self._learn(seen_kinds(self._plan, self._sources[name], taken.rows))
        return replace(taken, rows=_in_types(taken.rows, self._id_types))

    def _learn(self, kinds: Mapping[str, bool]) -> None:
        """Know of ids whether they are texts, where the store does not know it."""
        self._kinds = {**self._kinds, **kinds, **self._stored_kinds}
        for column, its in self._id_columns.items():
            known = [self._kinds[kind] for kind in its if kind in self._kinds]
            if known and column not in self._published:
                self._id_types[column] = pa.string() if any(known) else pa.int64()

    def _apply(self, taken: Mapping[str, Taken | None], turn: int, now: int) -> Progressed:
        stretches = [stretch for each in taken.values() if each for stretch in each.stretches]
        moves = {stretch.name: (stretch.first, stretch.next) for stretch in stretches}
        judged_by = self._stored_kinds
        learned = [written_kinds(self._kinds)] if self._kinds != judged_by else []
        while True:
            changes, parted, counted = self._changes(taken, now)
            changes += learned
            if self._store.apply(_TURN, turn, turn + 1, changes, also=moves):
                break
            turn = self._turned()
            moved = any((self._store.offset(name) or 0) != first for name, (first, _) in moves.items())
            if moved or self._stored_kinds != judged_by:
                self._rejoin()  # another worker has counted these, or learned what ids are
                return self._progressed()
        self._turn, self._stored_kinds = turn + 1, self._kinds
        for name, new in taken.items():
            self._held[name].keep(parted[name])
            if new:
                self._intakes[name].remember(new)
        duplicates = sum(len(stretch.id_N) - stretch.new for stretch in stretches)
        unsound = sum(stretch.next - stretch.first - len(stretch.id_N) for stretch in stretches)
        return self._progressed(counted, duplicates, unsound, now)

    def _changes(self, taken: Mapping[str, Taken | None], now: int) -> tuple[list[Change], dict[str, Parted], int]:
        """Return what the store must change, what stays held by source, and how many events count."""
        changes: list[Change] = []
        parted: dict[str, Parted] = {}
        events = []
        for name, new in taken.items():
            source = self._sources[name]
            parted[name] = self._held[name].parted(new.rows if new else None, now, self._most_rows)
            changes += parted[name].changes
            if new:
                changes += self._intakes[name].changes(new)
            ready = parted[name].ready
            if ready is not None:
                told = with_attributes(self._plan, source, ready, self._store.get_many)
                grouped_by = grouping_attributes(self._plan, source)
                events.append(event_batch(source, told, self._plan.aggregates, grouped_by))
        counted = state_changes(self._plan, self._store.get_many, events)
        changes += [*counted, *noted(self._plan, self._store.get_many, counted)]
        return changes, parted, sum(map(len, events))

    def _turned(self) -> int:
        """Return whose turn it is; where another had one in between, what is held is read anew."""
        turn = self._store.offset(_TURN) or 0
        if turn != self._turn:
            for held in self._held.values():
                held.reload()
            self._stored_kinds = learned_kinds(self._store.get_many)
            self._learn({})
            self._turn = turn
        return turn

    def _progressed(
        self, counted: int = 0, duplicates: int = 0, unsound: int = 0, now: int | None = None
    ) -> Progressed:
        waiting = sum(map(len, self._held.values()))
        due = sum(held.due(now) for held in self._held.values()) if now is not None else 0
        return Progressed(counted, duplicates, unsound, waiting, due)

    def _rejoin(self) -> None:
        """Begin where the store stands, with what it remembers."""
        self._leave(counted=False)
        self._turn = self._store.offset(_TURN) or 0
        self._kinds, self._stored_kinds = {}, learned_kinds(self._store.get_many)
        self._id_types = dict(self._published)
        self._learn({})
        for name, source in self._sources.items():
            self._held[name] = HeldEvents(self._store, source)
            self._intakes[name] = Intake(
                source, self._log, self._store, self._group,
                prefix=RESERVED, horizon=self._horizon, id_types=self._id_types,
                validation=self._validation,
            )  # fmt: skip


def _in_types(rows: pa.Table, id_types: Mapping[str, pa.DataType]) -> pa.Table:
    """Return *rows* with ids as texts where those of their kind are."""
    for name, kind in id_types.items():
        if name in rows.column_names and pa.types.is_string(kind) and pa.types.is_integer(rows[name].type):
            rows = rows.set_column(rows.column_names.index(name), name, rows[name].cast(kind))
    return rows
