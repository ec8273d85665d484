"""What an event log promises, whichever keeps the rows: the contract of `EmbeddedLog`, `KafkaLog`, and yours.

A log holds streams (one a source, such as ``interactions``); a stream has a fixed number of partitions; a partition is
rows in order, with offsets 0, 1, 2, … Rows are Arrow record batches. A promise that an implementation cannot keep is
named in its `gaps`, with the reason. Legend: N rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.core.errors import NotFound, OritaError, Unavailable

__all__ = [
    "AppendFailed",
    "Appended",
    "Batch",
    "BrokenLog",
    "Consumer",
    "EventLog",
    "OffsetRetired",
    "Position",
    "Span",
]

Position = Callable[[int], int | None]
"""Given a partition, the offset a consumer begins at; None: where its group committed, else the first kept."""


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of rows in a partition: from *first*, and *next* is the one after the last."""

    first: int
    next: int


Appended = Mapping[int, Span]
"""By partition, where the rows of an append lie; partitions that got none are left out."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one partition, in order.

    Attributes:
        partition: which.
        first: offset of the first row; *next* is the one after the last, equal to *first* where there are no rows.
        rows: the union of the columns of what was appended, null where a row had none.
        appended_at_N: ingestion times, int64 microseconds since the Unix epoch, never negative or decreasing.
    """

    partition: int
    first: int
    next: int
    rows: pa.RecordBatch
    appended_at_N: npt.NDArray[np.int64]


class OffsetRetired(NotFound):
    """The rows at an offset were retired; `first` is the first offset that is kept."""

    def __init__(self, stream: str, partition: int, offset: int, first: int) -> None:
        super().__init__(
            f"offset {offset} of partition {partition} of stream {stream!r} was retired: the first that is kept is "
            f"{first}; start from there, or rebuild from a snapshot that covers what came before."
        )
        self.first = first


class AppendFailed(Unavailable):
    """An append did not reach every partition; `appended` are the spans that are durable all the same."""

    def __init__(self, sentence: str, appended: Appended) -> None:
        super().__init__(sentence)
        self.appended = dict(appended)


class BrokenLog(OritaError):
    """Stored rows cannot be read; the sentence names the file and the byte."""


class Consumer(Protocol):
    """A member of a group: it holds a fair share of the partitions, and no other member holds them meanwhile."""

    @property
    def partitions(self) -> frozenset[int]:
        """What it holds since the last `poll`."""
        ...

    def poll(self, max_rows: int, wait_seconds: float = 0.0) -> list[Batch]:
        """Claim and give up partitions as members come and go; return the next rows, at most *max_rows* in all.

        Without rows it waits up to *wait_seconds* for some. What was polled and not committed when a partition
        changes hands is read again by its next holder.

        Raises:
            OffsetRetired: a partition's position is no longer kept.
        """
        ...

    def commit(self) -> None:
        """Commit what was polled from the partitions that are held."""
        ...

    def close(self) -> None:
        """Leave the group, without committing."""
        ...

    def __enter__(self) -> Consumer: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


class EventLog(Protocol):
    """Streams of rows. Any number of threads and processes may use one at once."""

    @property
    def gaps(self) -> Mapping[str, str]:
        """The promises of `orita.testing.event_logs` that it cannot keep, each with the reason."""
        ...

    def create(self, stream: str, partitions: int) -> None:
        """Make *stream*; nothing happens if it exists with as many partitions, another number is a `UserError`."""
        ...

    def streams(self) -> tuple[str, ...]:
        """Return the names of all streams, sorted."""
        ...

    def partitions(self, stream: str) -> int:
        """Return how many partitions *stream* has; this and every method below raise `NotFound` for unknown ones."""
        ...

    def schema(self, stream: str) -> pa.Schema:
        """Return the columns that rows of *stream* ever had; one of nothing but nulls has the type null."""
        ...

    def append(self, stream: str, rows: pa.RecordBatch | pa.Table, *, key: Sequence[str]) -> Appended:
        """Append *rows*, parted by the hash of their *key* columns (`orita.events.log.partitioning`).

        When it returns, they are durable. The rows of one partition lie side by side, and are wholly there or not.

        Raises:
            UserError: a key column is missing, or a column's type cannot be stored or differs from an earlier append.
            AppendFailed: the disk is full, or the broker does not answer.
        """
        ...

    def read(self, stream: str, partition: int, offset: int, max_rows: int) -> Batch:
        """Return up to *max_rows* rows from *offset* on; fewer where they are large, none only at the end.

        Raises:
            OffsetRetired: the rows at *offset* are gone.
            NotFound: *offset* lies beyond the end.
        """
        ...

    def start(self, stream: str, partition: int) -> int:
        """Return the first offset that is kept."""
        ...

    def end(self, stream: str, partition: int) -> int:
        """Return the offset that the next row will have."""
        ...

    def commit(self, group: str, stream: str, partition: int, offset: int) -> None:
        """Make *offset* the one that *group* goes on from, durably; it may go back."""
        ...

    def committed(self, group: str, stream: str, partition: int) -> int | None:
        """Return what *group* committed last, None where it never did."""
        ...

    def consumer(self, stream: str, group: str, *, position: Position | None = None) -> Consumer:
        """Join *group*; a partition that is claimed begins at *position*, by default where the group committed."""
        ...

    def retire(self, stream: str, partition: int, before: int) -> int:
        """Delete rows below *before*, as far as storage can delete them apart; return the first offset kept."""
        ...

    def retain(
        self, stream: str, *, covered: Mapping[int, int], max_age: timedelta | None = None, max_bytes: int | None = None
    ) -> Mapping[int, int]:
        """Delete rows older than *max_age*, and the oldest where a partition takes more than *max_bytes*.

        Args:
            stream: which.
            covered: by partition, the offset below which a snapshot holds all rows: nothing from there on is deleted,
                and nothing of a partition that is not named.
            max_age: since they were appended.
            max_bytes: of each partition, as stored.

        Returns:
            The first offset kept, by partition.
        """
        ...

    def close(self) -> None:
        """Let files and connections go."""
        ...
