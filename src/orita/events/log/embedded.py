"""The log that needs no server: files below the home, for any number of threads and processes of one machine.

``events/<tenant>/<stream>/`` holds ``stream.json``, a folder a partition (`orita.events.log.segment`), the stream's
schemas, and its consumer groups.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from orita.core.clock import Clock, SystemClock, to_micros
from orita.core.errors import NotFound, UserError, closest
from orita.core.files import sync_directory
from orita.core.home import Home
from orita.core.names import check_name, is_name
from orita.events.log.columns import plain_batch
from orita.events.log.consumer import EmbeddedConsumer
from orita.events.log.frame import encode_rows
from orita.events.log.groups import Membership, commit_offset, committed_offset
from orita.events.log.log import Appended, AppendFailed, Batch, Position, Span
from orita.events.log.partition import Partition
from orita.events.log.partitioning import part_rows
from orita.events.log.reader import Reader
from orita.events.log.retention import retirable, retire
from orita.events.log.schemas import Schemas
from orita.events.log.writer import Rolling, Ticket, Writer

__all__ = ["EmbeddedLog"]

_MOST_PARTITIONS = 256


@dataclass(frozen=True, slots=True)
class _Stream:
    folder: Path
    name: str
    schemas: Schemas
    partitions: tuple[_Opened, ...]


@dataclass(frozen=True, slots=True)
class _Opened:
    partition: Partition
    writer: Writer
    reader: Reader


class EmbeddedLog:
    """See `orita.events.log.log.EventLog`; it has no gaps."""

    gaps: Mapping[str, str] = {}

    def __init__(
        self,
        home: Home,
        clock: Clock | None = None,
        *,
        segment_bytes: int = 64 << 20,
        segment_age: timedelta = timedelta(days=1),
    ) -> None:
        """Open the log of *home*; nothing is written before a stream is made.

        Args:
            home: where, and whose.
            clock: gives the ingestion times.
            segment_bytes: a segment that has as many is followed by another.
            segment_age: likewise one whose first row is as old.
        """
        self._folder, self._clock = home.events, clock or SystemClock()
        self._rolling = Rolling(segment_bytes, segment_age)
        self._streams: dict[str, _Stream] = {}
        self._mutex = threading.Lock()
        self._process = os.getpid()

    def create(self, stream: str, partitions: int) -> None:
        """Make *stream*."""
        check_name("stream", stream)
        if not 1 <= partitions <= _MOST_PARTITIONS:
            raise UserError(f"a stream of {partitions} partitions cannot be: give 1 to {_MOST_PARTITIONS}.")
        folder = self._folder / stream
        if not folder.exists():
            _make(folder, partitions)
        if (have := self.partitions(stream)) != partitions:
            raise UserError(
                f"stream {stream!r} has {have} partitions, not {partitions}: the number is fixed when it is made."
            )

    def streams(self) -> tuple[str, ...]:
        """Return the names of all streams, sorted."""
        return tuple(sorted(path.parent.name for path in self._folder.glob("[a-z0-9]*/stream.json")))

    def partitions(self, stream: str) -> int:
        """Return how many partitions *stream* has."""
        return len(self._stream(stream).partitions)

    def schema(self, stream: str) -> pa.Schema:
        """Return the columns that rows of *stream* ever had."""
        return self._stream(stream).schemas.union()

    def append(self, stream: str, rows: pa.RecordBatch | pa.Table, *, key: Sequence[str]) -> Appended:
        """Append *rows*, parted by *key*."""
        opened = self._stream(stream)
        batch = plain_batch(rows)
        parts = part_rows(batch, key, len(opened.partitions))
        number = opened.schemas.number(batch.schema)
        encoded = [(p, encode_rows(part, number)) for p, part in parts]
        # All are in line before the first is written: threads that append at once share their syncs.
        tickets = [(p, opened.partitions[p].writer.enqueue(payload)) for p, payload in encoded]
        return _written(opened, tickets)

    def read(self, stream: str, partition: int, offset: int, max_rows: int) -> Batch:
        """Return up to *max_rows* rows from *offset* on."""
        if max_rows < 1:
            raise UserError(f"max_rows is {max_rows}: read at least 1 row.")
        return self._partition(stream, partition).reader.read(offset, max_rows)

    def start(self, stream: str, partition: int) -> int:
        """Return the first offset that is kept."""
        return self._partition(stream, partition).partition.start()

    def end(self, stream: str, partition: int) -> int:
        """Return the offset that the next row will have."""
        return self._partition(stream, partition).partition.end().next

    def commit(self, group: str, stream: str, partition: int, offset: int) -> None:
        """Make *offset* the one that *group* goes on from."""
        end = self.end(stream, partition)
        if not 0 <= offset <= end:
            raise NotFound(
                f"offset {offset} lies beyond the end of partition {partition} of stream {stream!r}: "
                f"commit one from 0 to {end}."
            )
        commit_offset(self._group(stream, group), partition, offset)

    def committed(self, group: str, stream: str, partition: int) -> int | None:
        """Return what *group* committed last."""
        self._partition(stream, partition)
        return committed_offset(self._group(stream, group), partition)

    def consumer(self, stream: str, group: str, *, position: Position | None = None) -> EmbeddedConsumer:
        """Join *group*."""
        membership = Membership(self._group(stream, group), self.partitions(stream))
        return EmbeddedConsumer(self, stream, group, membership, position)

    def retire(self, stream: str, partition: int, before: int) -> int:
        """Delete segments that lie below *before*."""
        opened = self._partition(stream, partition)
        return retire(opened.partition, opened.writer, before)

    def retain(
        self, stream: str, *, covered: Mapping[int, int], max_age: timedelta | None = None, max_bytes: int | None = None
    ) -> Mapping[int, int]:
        """Delete segments that are too old or too much, never past what is covered."""
        if max_age is None and max_bytes is None:
            raise UserError("retain deletes nothing without a limit: give max_age, max_bytes or both.")
        oldest = None if max_age is None else to_micros(self._clock.now() - max_age)
        for number, limit in covered.items():
            opened = self._partition(stream, number)
            before = min(retirable(opened.partition, oldest, max_bytes), limit)
            if before > opened.partition.start():
                retire(opened.partition, opened.writer, before)
        return {number: self.start(stream, number) for number in range(self.partitions(stream))}

    def close(self) -> None:
        """Let files go; the log opens them again if it is used again."""
        with self._mutex:
            for stream in self._streams.values():
                for opened in stream.partitions:
                    opened.writer.close()
                    opened.partition.close()
            self._streams.clear()

    def _stream(self, stream: str) -> _Stream:
        if os.getpid() != self._process:
            # After a fork: locks are per open file, which parent and child would share.
            self._streams, self._mutex, self._process = {}, threading.Lock(), os.getpid()
        found = self._streams.get(stream)
        if found is not None:
            return found
        with self._mutex:
            if stream not in self._streams:
                self._streams[stream] = self._opened(stream)
            return self._streams[stream]

    def _opened(self, stream: str) -> _Stream:
        folder = self._folder / stream
        if not is_name(stream) or not (folder / "stream.json").exists():
            raise NotFound(f"there is no stream {stream!r}. {closest(stream, self.streams())}")
        declared = json.loads((folder / "stream.json").read_text())
        schemas = Schemas(folder / "schemas", stream)
        opened = []
        for number in range(declared["partitions"]):
            partition = Partition(_partition_folder(folder, number), stream, number)
            writer, reader = Writer(partition, self._clock, self._rolling), Reader(partition, schemas.schema)
            opened.append(_Opened(partition, writer, reader))
        return _Stream(folder, stream, schemas, tuple(opened))

    def _partition(self, stream: str, partition: int) -> _Opened:
        opened = self._stream(stream).partitions
        if not 0 <= partition < len(opened):
            raise NotFound(
                f"stream {stream!r} has no partition {partition}: its partitions are 0 to {len(opened) - 1}."
            )
        return opened[partition]

    def _group(self, stream: str, group: str) -> Path:
        check_name("group", group)
        return self._stream(stream).folder / "groups" / group


def _written(opened: _Stream, tickets: Sequence[tuple[int, Ticket]]) -> Appended:
    spans: dict[int, Span] = {}
    errors: list[tuple[int, Exception]] = []
    for number, ticket in tickets:
        try:
            spans[number] = opened.partitions[number].writer.wait(ticket)
        except Exception as error:  # raised below, once nothing of this append is in line any more
            errors.append((number, error))
    if errors:
        number, cause = errors[0]
        if not isinstance(cause, OSError):
            raise cause
        kept = f" (partitions {sorted(spans)} have their rows)" if spans else ""
        raise AppendFailed(
            f"stream {opened.name!r} took no rows in partition {number}: {cause.strerror or cause}; it is as it was "
            f"before{kept}: make room below {opened.folder}, then append again.",
            spans,
        ) from cause
    return spans


def _make(folder: Path, partitions: int) -> None:
    """Make a stream's folder, which appears whole, unless another process is first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".partial-"))
    try:
        for number in range(partitions):
            _partition_folder(partial, number).mkdir()
            sync_directory(_partition_folder(partial, number))
        for name in ("schemas", "groups"):
            (partial / name).mkdir()
        with (partial / "stream.json").open("w") as file:
            json.dump({"format": 1, "partitions": partitions}, file)
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(0o755)
        sync_directory(partial)
        # Renaming onto a folder that holds something fails: then another process has made the stream.
        partial.rename(folder)
        sync_directory(folder.parent)
    except OSError as error:
        if not folder.exists():
            error.filename = error.filename or str(folder)  # a write that finds no room does not say where
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _partition_folder(stream: Path, number: int) -> Path:
    return stream / f"{number:05d}"
