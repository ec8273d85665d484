"""The lake tables of a home: appended to, replaced, read as of any version or time, compacted, vacuumed, swept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from orita.core.clock import Clock, SystemClock
from orita.core.disk import disk_is_full
from orita.core.errors import NotFound, OritaError, Unavailable, UserError, closest
from orita.core.home import Home
from orita.events.lake.address import LOG, address_of
from orita.events.lake.commits import Commit, newest_version, oldest_version, read_commit, version_at
from orita.events.lake.compaction import Compacted, compact_files, refuse_changed_rows
from orita.events.lake.durable import sync_commit
from orita.events.lake.evolution import evolved
from orita.events.lake.lifetimes import lifetimes, live_files, lost_versions
from orita.events.lake.months import MONTH, with_months
from orita.events.lake.offsets import OFFSETS, Fenced, LogSpans, Stored, stored_offsets
from orita.events.lake.rewriting import chained, stored_rows
from orita.events.lake.snapshot import Snapshot
from orita.events.lake.vacuum import Vacuumed, vacuum

__all__ = ["Lake"]

_FILE_BYTES = 16 * 1024 * 1024
_WRITER = "orita"
_HOOKS = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)


@dataclass(frozen=True, slots=True)
class Lake:
    """The lake tables of a home.

    Of two changes of a table that are made at once, one is refused (`Fenced`); `orita.events.staging.one_writer`
    keeps writers apart, and whoever changes a table holds it.
    """

    home: Home

    def exists(self, table: str) -> bool:
        """Tell whether *table* has a first commit."""
        return oldest_version(self.home.table(table)) is not None

    def version(self, table: str) -> int:
        """Return the newest version of *table*, without opening it.

        Raises:
            NotFound: no such table; the sentence lists what exists.
        """
        return self._checked(table, None)

    def tables(self) -> tuple[str, ...]:
        """Return the names of the tables that exist, sorted."""
        folder = self.home.table("any").parent
        found = sorted(child.name for child in folder.iterdir()) if folder.is_dir() else []
        return tuple(name for name in found if self.exists(name))

    def append(
        self,
        table: str,
        reader: pa.RecordBatchReader,
        properties: Mapping[str, str] | None = None,
        *,
        time: str | None = None,
        origin: Mapping[str, str] | None = None,
        offsets: LogSpans | None = None,
    ) -> int:
        """Add the rows of *reader* to *table* in one commit; return the version that holds them.

        Columns that the table does not have yet are added; columns that the reader lacks are null. Where the reader
        has a wider type (int32 → int64, float32 → float64), the table is rewritten with it, in the same commit. No
        rows and no offsets, no commit, unless the table is new.

        Args:
            table: name of the table, made if it does not exist.
            reader: rows, streamed; the writer holds at most one open file of 16 MiB a month.
            properties: kept with the commit, see `history`.
            time: a timestamp column; the table is partitioned by its month.
            origin: whose rows these are, kept with the table when this makes it, see `origin`.
            offsets: which rows of the event log these are, see `offsets`.

        Raises:
            UserError: a column's type is narrower than the table's, or another one.
            Fenced: the rows do not follow on what the table holds of the log, or another process wrote it meanwhile.
        """
        rows = with_months(reader, time) if time else reader
        if not self.exists(table):
            return self._write(table, None, rows, properties, origin, offsets, by_month=time is not None)
        opened = self._open(table)
        stored = pa.schema(opened.schema().to_arrow())
        wider = evolved(table, stored, rows.schema)
        first = next((batch for batch in rows if batch.num_rows), None)
        if first is None and offsets is None:
            return int(opened.version())
        rows = chained(rows, first)
        if wider is not None:
            rows = stored_rows(self._snapshot(table, opened).files, wider, MONTH if time else None, then=rows)
        by_month = time is not None
        return self._write(table, opened, rows, properties, origin, offsets, by_month=by_month, whole=wider is not None)

    def replace(
        self,
        table: str,
        reader: pa.RecordBatchReader,
        properties: Mapping[str, str] | None = None,
        *,
        time: str | None = None,
        origin: Mapping[str, str] | None = None,
    ) -> int:
        """Make the rows of *reader* the whole content of *table* in one commit; return its version.

        Earlier versions stay readable. Arguments as in `append`.
        """
        rows = with_months(reader, time) if time else reader
        opened = self._open(table) if self.exists(table) else None
        return self._write(table, opened, rows, properties, origin, None, by_month=time is not None, whole=True)

    def snapshot(self, table: str, version: int | None = None, *, at: datetime | None = None) -> Snapshot:
        """Return *table* as it is, as it was at *version*, or as it was at the time *at*.

        Raises:
            NotFound: no such table or version, or the version was vacuumed; the sentence lists what exists.
            UserError: both a version and a time are given.
        """
        if at is not None:
            if version is not None:
                raise UserError(f"version {version} and the time {at.isoformat()} are given: give one of them.")
            self._refuse_unknown(table)
            version = version_at(self.home.table(table), table, at)
        snapshot = self._snapshot(table, self._open(table, version))
        if version is not None and not all(Path(file).exists() for file in snapshot.files):
            raise NotFound(
                f"version {version} of table {table!r} was vacuumed, its files are gone: "
                f"'orita tables history {table}' lists the versions that can be read."
            )
        return snapshot

    def history(self, table: str, limit: int | None = None) -> tuple[Commit, ...]:
        """Return the latest *limit* commits of *table* (None: all), the newest first."""
        oldest, newest = self._bounds(table)
        last = oldest if limit is None else max(oldest, newest - limit + 1)
        return tuple(read_commit(self.home.table(table), number) for number in range(newest, last - 1, -1))

    def written(self, table: str) -> dict[str, datetime | None]:
        """Return when the rows of each file of *table* came into it; None where a compaction put them together."""
        self._refuse_unknown(table)
        folder = self.home.table(table)
        first = {file: life.first for file, life in lifetimes(folder).items() if life.until is None}
        commits = {version: read_commit(folder, version) for version in set(first.values())}
        at = {version: None if each.operation == "OPTIMIZE" else each.at for version, each in commits.items()}
        return {file: at[version] for file, version in first.items()}

    def unreadable(self, table: str) -> frozenset[int]:
        """Return the versions in the history of *table* that were vacuumed."""
        self._refuse_unknown(table)
        return lost_versions(self.home.table(table))

    def offsets(self, table: str, version: int | None = None) -> dict[int, int]:
        """Return up to where *table* holds the event log: by partition, the offset after the last row it has seen.

        Empty where it has seen none, and where the table does not exist yet.

        Raises:
            NotFound: there is no such version.
        """
        if version is None and not self.exists(table):
            return {}
        return dict(self._stored(table, self._checked(table, version)).next)

    def refuse_gap(self, table: str, offsets: LogSpans) -> None:
        """Refuse rows that do not follow on what *table* holds of the log, as `append` would.

        Raises:
            UserError: they are of another stream than its rows.
            Fenced: they do not follow.
        """
        if self.exists(table):
            self._stored(table, self.version(table)).followed_by(table, offsets)

    def origin(self, table: str) -> dict[str, str]:
        """Return whose rows *table* holds, as said when it was made; empty where nothing was said."""
        described = self._open(table).metadata().description
        return {str(name): str(value) for name, value in json.loads(described).items()} if described else {}

    def compact(self, table: str, *, time: str | None = None) -> Compacted:
        """Make few large files of many small ones in one commit; every row stays as it is.

        Args:
            table: which.
            time: the event-time column of a table that is partitioned by month: its rows are put in order of it.

        Raises:
            Fenced: another process wrote the table meanwhile.
            OritaError: rows were changed; the table is as it was.
        """
        opened = self._open(table)
        before = self._snapshot(table, opened)
        with self._writing(table):
            changed = compact_files(opened, time, self._commit(table, opened, {}, None))
        if not changed:
            return Compacted(before.version, len(before.files), len(before.files), before.rows)
        after = self._snapshot(table, self._open(table))
        try:
            refuse_changed_rows(before, after)
        except OritaError:
            self._open(table).restore(before.version)
            raise
        sync_commit(self.home.table(table), after.version)
        return Compacted(after.version, len(before.files), len(after.files), after.rows)

    def vacuum(
        self,
        table: str,
        older_than: timedelta,
        *,
        named: Mapping[int, Sequence[str]],
        force: bool = False,
        clock: Clock | None = None,
    ) -> Vacuumed:
        """Delete files that no version needs which was the newest at any time in the last *older_than*.

        A version that is *named* stays as well, and is listed in what is returned; with *force* it goes.

        Args:
            table: which.
            older_than: zero or more; zero keeps only the table as it is.
            named: by version, who names it, see `orita.features.training_sets.training_set.named_versions`.
            force: delete named versions too.
            clock: tells the time now; commits are dated by the machine's clock.
        """
        if older_than < timedelta(0):
            raise UserError(f"older_than is {older_than}: give a duration of zero or more.")
        self._refuse_unknown(table)
        limit = (clock or SystemClock()).now() - older_than
        return vacuum(self.home.table(table), limit, {} if force else named)

    def sweep(self, table: str) -> int:
        """Delete data files of *table* that no commit names (a killed writer's); return how many there were.

        Only call it where no other writer can be at work.
        """
        if not self.exists(table):
            return 0
        folder = self.home.table(table).absolute()
        named = set(lifetimes(folder)) | set(self.snapshot(table).files)
        data = (file for file in folder.rglob("*.parquet") if LOG not in file.relative_to(folder).parts)
        orphans = [file for file in data if str(file) not in named]
        for file in orphans:
            file.unlink()
        return len(orphans)

    def _bounds(self, table: str) -> tuple[int, int]:
        """Return the first and the last version that the log holds."""
        self._refuse_unknown(table)
        oldest, newest = oldest_version(self.home.table(table)), newest_version(self.home.table(table))
        assert oldest is not None
        assert newest is not None
        return oldest, newest

    def _checked(self, table: str, version: int | None) -> int:
        oldest, newest = self._bounds(table)
        if version is None or oldest <= version <= newest:
            return newest if version is None else version
        if 0 <= version < oldest:
            raise NotFound(f"version {version} of table {table!r} was vacuumed: it has {oldest} to {newest}.")
        raise NotFound(f"table {table!r} has no version {version}: it has {oldest} to {newest}.")

    def _refuse_unknown(self, table: str) -> None:
        if not self.exists(table):
            known = closest(table, self.tables())
            raise NotFound(f"table {table!r} does not exist in {self.home.root}. {known}")

    def _open(self, table: str, version: int | None = None) -> DeltaTable:
        if version is None:
            self._refuse_unknown(table)
        else:
            version = self._checked(table, version)
        return DeltaTable(address_of(self.home.table(table)), version=version)

    def _snapshot(self, table: str, opened: DeltaTable) -> Snapshot:
        actions = pa.table(opened.get_add_actions(flatten=True))
        schema = pa.schema(opened.schema().to_arrow())
        fields = [field for field in schema if field.name not in opened.metadata().partition_columns]
        rows = pc.sum(actions["num_records"]).as_py() if actions.num_rows else 0
        files = sorted(live_files(self.home.table(table), actions))
        return Snapshot(table, opened.version(), tuple(files), int(rows or 0), pa.schema(fields))

    def _stored(self, table: str, version: int) -> Stored:
        oldest, _ = self._bounds(table)
        return stored_offsets(self.home.table(table), version, oldest)

    def _commit(
        self, table: str, opened: DeltaTable | None, properties: Mapping[str, str], brought: LogSpans | None
    ) -> CommitProperties:
        """Return what a commit on top of *opened* is written with."""
        version = -1 if opened is None else int(opened.version())
        stored = Stored() if opened is None else self._stored(table, version)
        now = stored.followed_by(table, brought) if brought else stored
        # Two commits with one transaction's name never both follow the same version: one of them is refused.
        turn = Transaction(_WRITER, version + 1)
        return CommitProperties(custom_metadata={**properties, OFFSETS: now.property()}, app_transactions=[turn])

    def _write(
        self,
        table: str,
        opened: DeltaTable | None,
        rows: pa.RecordBatchReader,
        properties: Mapping[str, str] | None,
        origin: Mapping[str, str] | None,
        offsets: LogSpans | None,
        *,
        by_month: bool,
        whole: bool = False,
    ) -> int:
        address = address_of(self.home.table(table))
        options: dict[str, Any] = {
            "mode": "overwrite" if whole else "append",
            "schema_mode": "overwrite" if whole else "merge",
            "partition_by": [MONTH] if by_month else None,
            "target_file_size": _FILE_BYTES,
            "description": json.dumps(dict(origin)) if origin else None,  # kept from the first commit on
            "commit_properties": self._commit(table, opened, properties or {}, offsets),
            "post_commithook_properties": _HOOKS,
        }
        self.home.table(table).mkdir(parents=True, exist_ok=True)
        with self._writing(table):
            write_deltalake(opened or address, rows, **options)
        version = 0 if opened is None else int(opened.version())
        sync_commit(self.home.table(table), version)
        return version

    @contextmanager
    def _writing(self, table: str) -> Iterator[None]:
        """Say in Orita's words what keeps a commit from being made."""
        try:
            yield
        except CommitFailedError as error:
            raise Fenced(
                f"another process changed table {table!r} at the same moment: nothing was stored; run it again, with "
                "one writer at a time."
            ) from error
        except DeltaError as error:
            if not disk_is_full(error):
                raise
            raise Unavailable(
                f"table {table!r} took no rows, as the disk of {self.home.table(table)} is full: it is as it was. Make "
                "room there, then do the same again."
            ) from error
