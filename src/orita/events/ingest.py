"""How data comes in: found, opened, judged row by row, then stored in one commit a table, or not at all.

Running the same ingest again adds nothing. A run that was killed leaves the tables as they were before it or as they
are after it; the next run clears what it left and ends where an unbroken run would have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb

from orita.core.clock import Clock, SystemClock
from orita.core.errors import UserError
from orita.core.home import Home
from orita.core.progress import SILENT, Progress
from orita.core.version import VERSION
from orita.events.config import ValidationConfig
from orita.events.datasets import recognise
from orita.events.engine import open_engine
from orita.events.id_types import logged_id_types
from orita.events.judging import Judged, decide_id_types, examples, judge_source
from orita.events.lake import Lake
from orita.events.learning import current_profile, learn
from orita.events.log.log import EventLog
from orita.events.profile import TableProfile, measure, read_profile, write_profile
from orita.events.quarantine import write_quarantine
from orita.events.report import IngestReport, TableReport
from orita.events.schema import TableSchema
from orita.events.sources.find import find_sources, open_source
from orita.events.sources.opened import Opened
from orita.events.staging import one_writer, work_folder
from orita.events.surprises import surprises
from orita.events.upkeep import sweep_leftovers
from orita.events.writing import Change, apply_change, count_change

__all__ = ["ingest", "refuse_others", "validate"]


def ingest(
    home: Home,
    path: Path,
    *,
    dataset: str | None = None,
    table: str | None = None,
    config: ValidationConfig | None = None,
    schemas: Mapping[str, TableSchema] | None = None,
    origin: Mapping[str, str] | None = None,
    log: EventLog | None = None,
    clock: Clock | None = None,
    progress: Progress = SILENT,
) -> IngestReport:
    """Bring the data at *path* into the lake of *home*.

    Args:
        home: where tables, quarantine and profiles are kept.
        path: a file, a folder with a file for each of some tables, or a data set that is known by its files.
        dataset: the name of the data set that *path* must be; None: whatever it is.
        table: the table whose rows the file *path* has; None: its name tells (`find_sources`).
        config: how strictly rows are judged.
        schemas: the tables that there are, by name, and what their rows must look like; without, the contract's
            interactions, users and items, or the data set's own.
        origin: whose rows these are: ``system``, and ``world`` if they were generated; kept with a table that this
            makes. A table that was made for another system, or for a world that these are not of, is refused.
        log: the home's log: ids that came there first have the type that it gave them.
        clock: tells what the future is.
        progress: where to draw progress.

    Raises:
        UserError: a file is broken, or too many rows are, or the home holds another system's events; the tables
            are as they were.
    """
    config, clock = config or ValidationConfig(), clock or SystemClock()
    started = clock.monotonic()
    named = recognise(path, dataset)
    with one_writer(home, config.lock_wait_seconds):
        sweep_leftovers(home)
        with _run(home, path, table, config, schemas, origin or {}, log, clock, progress) as run:
            for judged in run.judged:
                run.quarantine(judged)
            for judged in run.judged:
                judged.refuse_bad_share(config.max_bad_share, run.kept[judged.opened.table], run.examples(judged))
            tables = {judged.opened.table: run.store(judged, progress) for judged in run.judged}
    return IngestReport(str(path), named, tables, clock.monotonic() - started)


def validate(
    home: Home,
    path: Path,
    *,
    dataset: str | None = None,
    table: str | None = None,
    config: ValidationConfig | None = None,
    schemas: Mapping[str, TableSchema] | None = None,
    origin: Mapping[str, str] | None = None,
    log: EventLog | None = None,
    clock: Clock | None = None,
    progress: Progress = SILENT,
) -> IngestReport:
    """Judge the data at *path* as `ingest` would, and store nothing: no table, no quarantine, no profile.

    Raises:
        UserError: a file is broken, or too many rows are, or the home holds another system's events.
    """
    config, clock = config or ValidationConfig(), clock or SystemClock()
    started = clock.monotonic()
    named = recognise(path, dataset)
    with _run(home, path, table, config, schemas, origin or {}, log, clock, progress) as run:
        for judged in run.judged:
            judged.refuse_bad_share(config.max_bad_share, None, run.examples(judged))
        tables = {judged.opened.table: run.report(judged) for judged in run.judged}
    return IngestReport(str(path), named, tables, clock.monotonic() - started)


@dataclass(frozen=True, slots=True)
class _Run:
    """One path under way: its judged sources, and what it takes to store them."""

    connection: duckdb.DuckDBPyConnection
    home: Home
    lake: Lake
    config: ValidationConfig
    origin: Mapping[str, str]
    judged: tuple[Judged, ...]
    profiles: Mapping[str, TableProfile | None]
    stamps: Mapping[Path, tuple[int, int]]
    became_text: Mapping[str, str]
    kept: dict[str, str | None]

    def examples(self, judged: Judged) -> str:
        """Return the most frequent reasons with an example each."""
        return examples(self.connection, judged)

    def quarantine(self, judged: Judged) -> None:
        """Keep the bad rows of a source."""
        path = write_quarantine(self.connection, self.home, judged.opened, judged.judge, judged.bad, judged.bad_rows)
        self.kept[judged.opened.table] = str(path) if path else None

    def store(self, judged: Judged, progress: Progress) -> TableReport:
        """Commit the sound rows of a source and learn its profile."""
        opened = judged.opened
        if _stamp(opened.file) != self.stamps[opened.file]:
            raise UserError(f"{opened.file} was changed while it was read: ingest it again once it is complete.")
        properties = {"created_by": f"orita {VERSION}", "source": opened.file.name, "source_sha256": opened.digest}
        change = apply_change(self.connection, self.lake, judged, properties, self.origin, progress)
        if change.version is None:
            self._keep_remade(opened.table)
            return self._table_report(judged, change, None, self.kept[opened.table])
        batch = learn(self.connection, self.home, opened.schema, self.profiles[opened.table], change)
        return self._table_report(judged, change, batch, self.kept[opened.table])

    def report(self, judged: Judged) -> TableReport:
        """Return what `store` would report."""
        change = count_change(self.connection, self.lake, judged)
        schema = judged.opened.schema
        batch = measure(self.connection, change.sql, schema, -1) if change.new or change.updated else None
        return self._table_report(judged, change, batch, None)

    def _keep_remade(self, table: str) -> None:
        """Keep the profile that had to be made again from its table, where nothing is added to it."""
        profile = self.profiles[table]
        if profile is not None and profile != read_profile(self.home, table):
            write_profile(self.home, profile)

    def _table_report(
        self, judged: Judged, change: Change, batch: TableProfile | None, quarantined: str | None
    ) -> TableReport:
        schema, before = judged.opened.schema, self.profiles[judged.opened.table]
        as_text = [self.became_text[name] for name in judged.opened.declared if name in self.became_text]
        unusual = surprises(before, batch, schema, self.config) if batch else ()
        return TableReport(
            rows_read=judged.rows,
            rows_new=change.new,
            rows_updated=change.updated,
            rows_duplicate=judged.rows - judged.bad_rows - change.new - change.updated,
            rows_quarantined=judged.bad_rows,
            reasons=judged.reasons,
            quarantine_path=quarantined,
            version=change.version,
            warnings=(*_dropped(judged.opened), *as_text, *unusual),
        )


@contextmanager
def _run(
    home: Home,
    path: Path,
    table: str | None,
    config: ValidationConfig,
    schemas: Mapping[str, TableSchema] | None,
    origin: Mapping[str, str],
    log: EventLog | None,
    clock: Clock,
    progress: Progress,
) -> Iterator[_Run]:
    """Open and judge every source of *path*; its staged work is gone afterwards."""
    lake = Lake(home)
    found = find_sources(path, schemas, table)
    for source in found:
        refuse_others(lake, source.table, origin)
    stamps = {source.file: _stamp(source.file) for source in found}
    with (
        work_folder(home) as folder,
        open_engine(folder, config.memory_mb) as connection,
        progress.bar("Read and judge", 2 * len(found)) as bar,
    ):
        sources = []
        for source in found:
            bar.describe(f"reading {source.file.name}")
            sources.append(open_source(connection, source, folder, config, (schemas or {}).get(source.table)))
            bar.advance()
        logged = partial(logged_id_types, log) if log else None
        ids = decide_id_types(connection, lake, sources, config, logged)
        profiles = {opened.table: current_profile(connection, home, lake, opened.schema) for opened in sources}
        judged = []
        for opened in sources:
            bar.describe(f"judging {opened.file.name}")
            judged.append(judge_source(connection, opened, ids.types, profiles[opened.table], config, clock))
            bar.advance()
        yield _Run(connection, home, lake, config, origin, tuple(judged), profiles, stamps, ids.became_text, {})


def refuse_others(lake: Lake, table: str, origin: Mapping[str, str]) -> None:
    """Refuse rows that are not of the same origin as those of *table*.

    Raises:
        UserError: the table was made for another system, or for a world that these rows are not of.
    """
    owner = lake.origin(table) if origin and lake.exists(table) else {}
    if owner and origin["system"] != owner["system"]:
        raise UserError(
            f"table {table!r} of the home {lake.home.root} holds the events of system {owner['system']!r}, not of "
            f"{origin['system']!r}: give --home another folder."
        )
    if owner and owner.get("world", origin.get("world")) != origin.get("world"):
        raise UserError(
            f"table {table!r} of the home {lake.home.root} holds a synthetic world, with which other events do not "
            "mix: give --home another folder. What users did with answers of this home goes in by "
            "'orita features push' and 'orita features stream'."
        )


def _stamp(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_size, found.st_mtime_ns


def _dropped(opened: Opened) -> tuple[str, ...]:
    if not opened.undeclared:
        return ()
    names = ", ".join(opened.undeclared)
    return (f"{opened.file.name} has columns that table {opened.table!r} does not declare, dropped: {names}.",)
