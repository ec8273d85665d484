"""From the event log into its lake table: every row that was acknowledged, judged, once.

A batch of rows is one commit, and the commit holds their offsets: a sink begins where its table ends, so it may be
killed at any moment, and another may take its place before it is gone. Bad rows go to quarantine before the commit,
in a file that is named by where the table stood, so that what is read again is kept once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

import duckdb
from pydantic import Field

from orita.core.clock import Clock, SystemClock
from orita.core.config import Section
from orita.core.errors import UserError
from orita.core.home import Home
from orita.core.progress import SILENT
from orita.core.version import VERSION
from orita.events.config import ValidationConfig
from orita.events.engine import open_engine
from orita.events.id_types import id_types_in
from orita.events.ingest import refuse_others
from orita.events.judging import Judged, decide_id_types, judge_source
from orita.events.lake import Fenced, Lake, LogSpans
from orita.events.learning import carry_profile, current_profile, learn
from orita.events.log.log import Batch, Consumer, EventLog, Span
from orita.events.profile import TableProfile
from orita.events.quarantine import write_quarantine
from orita.events.schema import TableSchema
from orita.events.sources.batches import open_batches
from orita.events.staging import one_writer, work_folder
from orita.events.upkeep import compact_table, sweep_leftovers
from orita.events.writing import apply_change

__all__ = ["GROUP", "SinkConfig", "SinkReport", "sink"]

GROUP = "lake"
"""The consumer group of sinks: of several, each brings in the rows of its share of the partitions."""

_WAIT_SECONDS = 0.05
_COMMITS_A_LOOK = 10


class SinkConfig(Section):
    """How rows of the log become commits of a table.

    Attributes:
        max_rows: a commit has at most as many rows.
        max_seconds: a row waits at most as long for others to share its commit, while there are any.
        compact_files: a table that has more files than this beyond one a month is compacted; 0: never.
    """

    max_rows: Annotated[int, Field(ge=1)] = 100_000
    max_seconds: Annotated[float, Field(ge=0)] = 2.0
    compact_files: Annotated[int, Field(ge=0)] = 200


@dataclass(slots=True)
class SinkReport:
    """What a sink did so far.

    Attributes:
        rows_read: rows of the log whose offsets are in the table now.
        rows_new: those that the table did not have.
        rows_duplicate: those whose key it had, or that repeat an earlier row of their batch.
        rows_quarantined: those that break a rule.
        reasons: bad rows by ``column.rule``.
        commits: how many.
        fenced: batches that were dropped, as another sink had stored their rows.
        compactions: how often the table was compacted.
    """

    rows_read: int = 0
    rows_new: int = 0
    rows_duplicate: int = 0
    rows_quarantined: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    commits: int = 0
    fenced: int = 0
    compactions: int = 0


def sink(
    home: Home,
    log: EventLog,
    stream: str,
    schema: TableSchema,
    config: ValidationConfig | None = None,
    *,
    batching: SinkConfig | None = None,
    origin: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    until: Callable[[], bool] | None = None,
) -> SinkReport:
    """Bring the rows of *stream* into the table that *schema* names.

    Args:
        home: where tables, quarantine and profiles are kept.
        log: where the rows are.
        stream: which.
        schema: what a row must look like; one of events, that is, with a time.
        config: how strictly rows are judged. No share of bad rows stops a sink.
        batching: how large commits are.
        origin: as for `orita.events.ingest.ingest`.
        clock: tells what the future is.
        until: asked after each commit and each wait; the sink ends when it says True. None: it ends when the table
            holds all that the log held at the call.

    Raises:
        UserError: the table is one of entities, holds another system's events, or another stream's rows.
        OffsetRetired: rows that the table lacks are gone from the log.
    """
    if schema.time is None:
        raise UserError(
            f"table {schema.name!r} has no time column, and a sink takes events: ingest entities from a file, or "
            "declare a time."
        )
    config, batching = config or ValidationConfig(), batching or SinkConfig()
    report = SinkReport()
    ended = until or _caught_up(home, log, stream, schema.name)
    with one_writer(home, config.lock_wait_seconds):
        sweep_leftovers(home)
    with work_folder(home) as folder, open_engine(folder, config.memory_mb) as engine:
        storing = _Storing(engine, home, stream, schema, config, origin or {}, clock or SystemClock(), batching, report)
        storing.refuse_others()
        done = False
        while not done:
            with log.consumer(stream, GROUP, position=storing.position) as consumer:
                done = _consume(consumer, storing, ended)
    return report


def _caught_up(home: Home, log: EventLog, stream: str, table: str) -> Callable[[], bool]:
    ends = {partition: log.end(stream, partition) for partition in range(log.partitions(stream))}

    def caught_up() -> bool:
        stored = Lake(home).offsets(table)
        return all(stored.get(partition, log.start(stream, partition)) >= end for partition, end in ends.items())

    return caught_up


def _consume(consumer: Consumer, storing: _Storing, ended: Callable[[], bool]) -> bool:
    """Store what *consumer* reads until that has *ended*; False: another sink stored rows that it read."""
    while True:
        batches = _gathered(consumer, storing.batching)
        if batches:
            try:
                storing.store(batches)
            except Fenced:
                # Its partitions changed hands: what it read is dropped, and read anew from where the table is now.
                storing.report.fenced += 1
                return False
        if ended():
            return True


def _gathered(consumer: Consumer, batching: SinkConfig) -> list[Batch]:
    """Return the rows of the next commit: as many as there are at once or come soon, within the bounds."""
    found: list[Batch] = []
    missing = batching.max_rows
    # Waiting is of this process, not of the data: the machine's own clock, not the injected one.
    deadline = None
    while missing > 0 and (deadline is None or time.monotonic() < deadline):
        more = consumer.poll(missing, _WAIT_SECONDS)
        if not more:
            break
        deadline = deadline or time.monotonic() + batching.max_seconds
        found += more
        missing -= sum(batch.rows.num_rows for batch in more)
    return found


@dataclass(frozen=True, slots=True)
class _Storing:
    """What it takes to store batches of one stream."""

    engine: duckdb.DuckDBPyConnection
    home: Home
    stream: str
    schema: TableSchema
    config: ValidationConfig
    origin: Mapping[str, str]
    clock: Clock
    batching: SinkConfig
    report: SinkReport

    def refuse_others(self) -> None:
        """Refuse a table that holds another system's events."""
        refuse_others(Lake(self.home), self.schema.name, self.origin)

    def position(self, partition: int) -> int | None:
        """Return where the table ends."""
        return Lake(self.home).offsets(self.schema.name).get(partition)

    def store(self, batches: Sequence[Batch]) -> None:
        """Judge the rows of *batches* and commit the sound and new ones with all their offsets."""
        lake, spans = Lake(self.home), LogSpans(self.stream, _spans(batches))
        with one_writer(self.home, self.config.lock_wait_seconds), self.engine.cursor() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            lake.refuse_gap(self.schema.name, spans)
            profile = current_profile(connection, self.home, lake, self.schema)
            judged = self._judged(connection, lake, batches)
            write_quarantine(connection, self.home, judged.opened, judged.judge, judged.bad, judged.bad_rows)
            self._commit(connection, lake, judged, spans, profile)
            self._compact(lake)

    def _judged(self, connection: duckdb.DuckDBPyConnection, lake: Lake, batches: Sequence[Batch]) -> Judged:
        """Judge rows as all who read the log do: by what it says of them, not by what the table happens to hold."""
        before = lake.offsets(self.schema.name)
        opened = open_batches(connection, self.stream, batches, self.schema, self.config, before)
        logged = partial(id_types_in, batches)
        ids = decide_id_types(connection, lake, [opened], self.config, logged)
        return judge_source(connection, opened, ids.types, None, self.config, self.clock)

    def _commit(
        self,
        connection: duckdb.DuckDBPyConnection,
        lake: Lake,
        judged: Judged,
        spans: LogSpans,
        profile: TableProfile | None,
    ) -> None:
        properties = {"created_by": f"orita {VERSION}", "source": f"log/{self.stream}"}
        change = apply_change(connection, lake, judged, properties, self.origin, SILENT, spans)
        assert change.version is not None
        if change.new:
            learn(connection, self.home, self.schema, profile, change, counts=False)
        elif profile is not None:
            carry_profile(self.home, self.schema.name, profile.version, change.version)
        self._count(judged, change.new)

    def _count(self, judged: Judged, new: int) -> None:
        report = self.report
        report.rows_read += judged.rows
        report.rows_new += new
        report.rows_quarantined += judged.bad_rows
        report.rows_duplicate += judged.rows - judged.bad_rows - new
        for reason, count in judged.reasons.items():
            report.reasons[reason] = report.reasons.get(reason, 0) + count
        report.commits += 1

    def _compact(self, lake: Lake) -> None:
        if not self.batching.compact_files or self.report.commits % _COMMITS_A_LOOK:
            return
        files = lake.snapshot(self.schema.name).files
        if len(files) - len({file.rpartition("/")[0] for file in files}) > self.batching.compact_files:
            compact_table(self.home, self.schema.name, self.schema.time)
            self.report.compactions += 1


def _spans(batches: Sequence[Batch]) -> dict[int, Span]:
    """Return where the rows of *batches* lie; those of one partition follow on each other."""
    found: dict[int, Span] = {}
    for batch in batches:
        first = found[batch.partition].first if batch.partition in found else batch.first
        found[batch.partition] = Span(first, batch.next)
    return found
