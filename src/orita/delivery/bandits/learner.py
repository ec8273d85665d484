"""Follows what is declared and what is logged, and gives out bandits to pick by.

    learner = Learner(bandits, log, snapshot_file(home))
    learner.look()                                   # now and then
    learner.served["front-page-title"].slate(rng)

Every process that reads the same log comes to the same state, so nothing is merged: what one worker was told, all know
once they look. Where the log is Kafka's, that holds for replicas on several machines too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from orita.delivery.bandits.declarations import BanditDeclaration
from orita.delivery.bandits.kept import Bandits
from orita.delivery.bandits.ledger import Ledger, LedgerState, read_ledger
from orita.delivery.bandits.open_choices import OpenChoice
from orita.delivery.bandits.records import PARTITION, STREAM, Record, records_in
from orita.delivery.bandits.served import ServedBandit
from orita.delivery.bandits.snapshots import Snapshot, read_snapshot, write_snapshot
from orita.events.log.log import Batch, EventLog, OffsetRetired

__all__ = ["Learner"]

_PIECE = 500
_EVERY = 20
"""Looks after which declarations are read again, whatever the position says: what is kept may have been made anew."""


class _Ended(Exception):
    """The look is over before its work is."""


class Learner:
    """The state of all bandits of a tenant; used by one thread, but for `served`, `choice` and `bandit_of`.

    Args:
        bandits: where they are declared.
        log: where choices and rewards are.
        snapshot: the file of what was learnt.
        snapshot_rows: after so many records the file is written again.
        retention: records that were appended longer ago, and are in the file, may go then; None: all stay.
        goes_on: called between pieces of work, which may rest there; False ends the look.

    Attributes:
        served: by key, bandits to pick by, replaced as a whole; None before they were read for the first time.
        ledgers: what they learnt, by key.
        next: offset of the first record that is not in it.
    """

    def __init__(
        self,
        bandits: Bandits,
        log: EventLog,
        snapshot: Path,
        *,
        snapshot_rows: int = 5_000,
        retention: timedelta | None = None,
        goes_on: Callable[[], bool] = lambda: True,
    ) -> None:
        self._bandits, self._log, self._file = bandits, log, snapshot
        self._snapshot_rows, self._retention, self._goes_on = snapshot_rows, retention, goes_on
        self._looks = self._seen = self._written = 0
        self._begun = self._there = False
        self.served: Mapping[str, ServedBandit] | None = None
        self.ledgers: dict[str, Ledger] = {}
        self.next = 0

    def look(self) -> None:
        """Take up what was declared and logged since the last look; where that fails nothing is half counted."""
        self._looks += 1
        try:
            if self.served is None or self._looks % _EVERY == 0 or self._bandits.log.position() != self._seen:
                self._declared()
        except _Ended:
            return
        try:
            self._read()
        except Exception:
            # A bandit may have learnt part of a piece: all begin again from what is written.
            self.ledgers, self._begun, self._seen = {}, False, -1
            raise
        self._give_out()
        if self.next - self._written >= self._snapshot_rows:
            self.write()

    def write(self) -> None:
        """Write the snapshot, unless that there is knows as much."""
        if self.next > self._written:
            states = {key: ledger.state() for key, ledger in self.ledgers.items()}
            write_snapshot(self._file, Snapshot(self.next, states))
            self._written = self.next
            if self._retention is not None:
                self._log.retain(STREAM, covered={PARTITION: self.next}, max_age=self._retention)

    def choice(self, key: str, decision: str) -> OpenChoice | None:
        """Return a choice that waits for rewards, None where it does not, or is not known here yet."""
        ledger = self.ledgers.get(key)
        return None if ledger is None else ledger.open.get(decision)

    def bandit_of(self, decision: str) -> str | None:
        """Return the key of the bandit where a choice waits for rewards, None where it does at none."""
        return next((key for key, ledger in self.ledgers.items() if decision in ledger.open), None)

    def _declared(self) -> None:
        seen, declared = self._bandits.followed()
        written = {} if self._begun or not declared else self._begin()
        ledgers = {key: self._ledger(each, written.get(key)) for key, each in declared.items()}
        self.ledgers, self._seen = ledgers, seen
        self._begun = self._begun or bool(declared)

    def _begin(self) -> dict[str, LedgerState]:
        """Go on from the snapshot, or from the beginning where it is not of this log; return what is written."""
        found = read_snapshot(self._file)
        if found.next > self._end():
            found = Snapshot(0, {})
        self.next = self._written = found.next
        return found.ledgers

    def _ledger(self, declaration: BanditDeclaration, written: LedgerState | None) -> Ledger:
        there = self.ledgers.get(declaration.key)
        if there is not None and there.declaration.learning == declaration.learning:
            if there.declaration != declaration:
                there.declare(declaration)
            return there
        known = None if written is None else read_ledger(declaration, written)
        return known or self._replayed(declaration)

    def _replayed(self, declaration: BanditDeclaration) -> Ledger:
        """Return what a bandit that was not followed so far learns of the log up to where the others are."""
        ledger = Ledger(declaration)
        offset = self._log.start(STREAM, PARTITION) if self.next else 0
        while offset < self.next:
            if not self._goes_on():
                raise _Ended
            batch = self._log.read(STREAM, PARTITION, offset, min(_PIECE, self.next - offset))
            ledger.fold(records_in(_of(batch, declaration.key)))
            offset = batch.next
        return ledger

    def _read(self) -> None:
        if not self._begun:
            return
        while self.next < self._end() and self._goes_on():
            try:
                batch = self._log.read(STREAM, PARTITION, self.next, _PIECE)
            except OffsetRetired as retired:
                self.next = retired.first
                continue
            by_bandit: dict[str, list[tuple[int, Record]]] = {}
            for at, record in records_in(batch):
                by_bandit.setdefault(record.bandit, []).append((at, record))
            for key, records in by_bandit.items():
                if key in self.ledgers:
                    self.ledgers[key].fold(records)
            self.next = batch.next

    def _end(self) -> int:
        """Return the offset of the next record; nothing was logged before there is a stream."""
        self._there = self._there or STREAM in self._log.streams()
        return self._log.end(STREAM, PARTITION) if self._there else 0

    def _give_out(self) -> None:
        """Replace what is served, where somebody learnt or was declared."""
        before = self.served or {}
        changed = [key for key, ledger in self.ledgers.items() if ledger.changed]
        if self.served is not None and not changed and before.keys() == self.ledgers.keys():
            return
        served = {key: before[key] for key, ledger in self.ledgers.items() if not ledger.changed}
        for key in changed:
            ledger = self.ledgers[key]
            served[key] = ServedBandit(ledger.declaration, ledger.bandit.copy(), self.next)
            ledger.changed = False
        self.served = served


def _of(batch: Batch, key: str) -> Batch:
    """Return the records of one bandit."""
    if not batch.rows.num_rows:
        return batch
    own: pa.BooleanArray = pc.equal(batch.rows.column("bandit"), key)
    appended_at_N = batch.appended_at_N[own.to_numpy(zero_copy_only=False)]
    return Batch(batch.partition, batch.first, batch.next, batch.rows.filter(own), appended_at_N)
