"""The stream engine: takes events from the log, in turns with other workers, and counts each once in the online store.

What it read, what it remembers and how far it came are changed in one transaction of the store, which begins where the
store says it stands: a worker that was killed goes on there, and one that was taken for dead changes nothing. Workers
of different partitions share keys (items, in a log parted by user), so they take turns by an offset of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from orita.core.clock import Clock, SystemClock, to_micros
from orita.core.errors import UserError
from orita.events.log.log import EventLog
from orita.features.batch import event_batch
from orita.features.declarations import Residual
from orita.features.frame import grouping_attributes
from orita.features.plan import Plan
from orita.features.state.attributes import with_attributes
from orita.features.state.journal import noted
from orita.features.state.layout import RESERVED
from orita.features.state.update import state_changes
from orita.features.stores.store import Change, OnlineStore
from orita.features.stream.held import HeldEvents
from orita.features.stream.intake import Intake, Overtaken, Taken

__all__ = ["DEDUPLICATED", "Progressed", "StreamWorker", "refuse_batch_only"]

DEDUPLICATED = 100_000
"""Offsets of a partition within which the same event id counts once."""

_TURN = "turn"


@dataclass(frozen=True, slots=True)
class Progressed:
    """What one step did.

    Attributes:
        counted: events that are in the state now.
        duplicates: events passed over, as one of their id came before.
        unsound: events passed over, as a value breaks a rule; the lake's sink keeps them in quarantine.
        held: events from the future that wait.
    """

    counted: int = 0
    duplicates: int = 0
    unsound: int = 0
    held: int = 0


def refuse_batch_only(plan: Plan) -> None:
    """Refuse what a stream cannot keep.

    Raises:
        UserError: a feature needs what other keys had at the time of each event.
    """
    for name, expression in plan.system.declared.items():
        if isinstance(getattr(expression, "value", None), Residual):
            raise UserError(
                f"feature {name!r} is of residuals, which the stream engine does not keep: publish it by "
                "'orita run etl', or leave it out of what is streamed."
            )


class StreamWorker:
    """Keeps the state of one store up with the event log.

    Args:
        plan: what to keep.
        log: where events are; a stream a source, of the source's name.
        store: where state is; its offsets say where to go on.
        group: workers of one group share the partitions; one group a store.
        clock: tells which events lie in the future.
        most_rows: events taken in one transaction.
        horizon: offsets within which an event id counts once.
        id_types: by column, int64 or string, where the state's ids have a type already.
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
        horizon: int = DEDUPLICATED,
        id_types: Mapping[str, pa.DataType] | None = None,
    ) -> None:
        refuse_batch_only(plan)
        self._plan, self._log, self._store, self._group = plan, log, store, group
        self._clock, self._most_rows, self._horizon = clock or SystemClock(), most_rows, horizon
        self._id_types = dict(id_types or {})
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
        turn = self._store.offset(_TURN) or 0
        try:
            taken = {name: self._take(name, wait_seconds / len(self._intakes)) for name in self._intakes}
        except Overtaken:
            self._rejoin()
            return Progressed(held=self._waiting())
        now = to_micros(self._clock.now())
        if not any(taken.values()) and not any(held.due(now) for held in self._held.values()):
            return Progressed(held=self._waiting())
        return self._apply(taken, turn, now)

    def close(self) -> None:
        """Leave the group; what was not counted is read again by the next worker."""
        self._leave(counted=self._counted)

    def _leave(self, *, counted: bool) -> None:
        for intake in self._intakes.values():
            intake.close(counted=counted)
        self._intakes.clear()

    def _take(self, name: str, wait_seconds: float) -> Taken | None:
        return self._intakes[name].take(self._most_rows, wait_seconds)

    def _apply(self, taken: Mapping[str, Taken | None], turn: int, now: int) -> Progressed:
        stretches = [stretch for each in taken.values() if each for stretch in each.stretches]
        moves = {stretch.name: (stretch.first, stretch.next) for stretch in stretches}
        while True:
            changes, held, counted = self._changes(taken, now)
            if self._store.apply(_TURN, turn, turn + 1, changes, also=moves):
                break
            turn = self._store.offset(_TURN) or 0
            if any((self._store.offset(name) or 0) != first for name, (first, _) in moves.items()):
                self._rejoin()  # another worker has counted these
                return Progressed(held=self._waiting())
        for stretch in stretches:
            stretch.ids.remember(stretch.id_N, stretch.offset_N, stretch.next)
        for name, table in held.items():
            self._held[name].table = table
        duplicates = sum(stretch.sound - len(stretch.id_N) for stretch in stretches)
        unsound = sum(stretch.next - stretch.first - stretch.sound for stretch in stretches)
        return Progressed(counted, duplicates, unsound, self._waiting())

    def _changes(
        self, taken: Mapping[str, Taken | None], now: int
    ) -> tuple[list[Change], dict[str, pa.Table | None], int]:
        """Return what the store must change, what stays held by source, and how many events count."""
        changes: list[Change] = []
        held: dict[str, pa.Table | None] = {}
        events = []
        for name, new in taken.items():
            source = self._sources[name]
            ready, held[name] = self._held[name].parted(new.rows if new else None, now)
            changes += self._held[name].change(held[name])
            for stretch in new.stretches if new else ():
                changes += stretch.ids.changes(stretch.id_N, stretch.offset_N, stretch.next)
            if ready is not None:
                told = with_attributes(self._plan, source, ready, self._store.get_many)
                grouped_by = grouping_attributes(self._plan, source)
                events.append(event_batch(source, told, self._plan.aggregates, grouped_by))
        counted = state_changes(self._plan, self._store.get_many, events)
        changes += [*counted, *noted(self._plan, self._store.get_many, counted)]
        return changes, held, sum(map(len, events))

    def _waiting(self) -> int:
        return sum(len(held.table) for held in self._held.values() if held.table is not None)

    def _rejoin(self) -> None:
        """Begin where the store stands, with what it remembers."""
        self._leave(counted=False)
        for name, source in self._sources.items():
            self._held[name] = HeldEvents(self._store, RESERVED + b"h" + name.encode(), source.schema.time or "")
            self._intakes[name] = Intake(
                source, self._log, self._store, self._group,
                prefix=RESERVED, horizon=self._horizon, id_types=self._id_types,
            )  # fmt: skip
