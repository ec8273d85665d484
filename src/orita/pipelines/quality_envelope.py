"""Days of a table, or whatever time history was cut into, held against the envelope of history: each once it is over.

What one ingest brings may be an hour or a year, and is no batch like those of history. So it is not held against the
envelope as it came: the slices of time that it brought rows of are, with all rows that the table has of each.

Legend: N rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds

from orita.core.clock import from_micros, to_micros
from orita.events.lake import Snapshot
from orita.events.lake.arrivals import rows_of
from orita.monitoring.expectations.check import against_envelope
from orita.monitoring.expectations.declaration import TableExpectation
from orita.monitoring.expectations.envelope import Envelope
from orita.monitoring.expectations.findings import Finding
from orita.monitoring.expectations.frame import View

__all__ = ["BesideHistory", "beside_history"]


@dataclass(frozen=True, slots=True)
class BesideHistory:
    """Slices of time after the check.

    Attributes:
        findings: of all of them, each with the end of its slice.
        slices: how many were held against the envelope.
        tests: figures of them.
        until: the end of the last slice that is over; later ones are still to be judged.
    """

    findings: tuple[Finding, ...] = ()
    slices: int = 0
    tests: int = 0
    until: datetime | None = None


def beside_history(
    snapshot: Snapshot,
    came: pa.Table,
    table: TableExpectation,
    envelope: Envelope,
    *,
    after: datetime | None,
    now: datetime,
) -> BesideHistory:
    """Hold slices of a table against the envelope, `TableExpectation.false_alarm_rate` shared out among them.

    Judged is a slice that is later than history, has rows, and is over: there is a row from its end or later. Of those
    the ones are judged that end later than *after*, and again those of which rows came.

    Args:
        snapshot: the table.
        came: the rows that are new.
        table: what is declared.
        envelope: of slices of equal length; one that was learnt without times judges nothing here.
        after: the slices that end then or before were judged; None: none were.
        now: no slice is over that ends later.
    """
    time = envelope.outlook.time
    if not time or time not in snapshot.schema.names:
        return BesideHistory(until=after)
    cut = _Cut.of(envelope)
    times_N = _micros(rows_of(snapshot, columns=[time]), time)
    over = min(times_N.max(initial=-np.inf), to_micros(now))
    done = -np.inf if after is None else to_micros(after)
    came_of = set(cut.ends(_micros(came, time)).tolist())
    ends = [end for end in cut.ends(times_N).tolist() if end <= over]
    chosen = [end for end in ends if end > done or end in came_of]
    each = msgspec.structs.replace(table, false_alarm_rate=table.false_alarm_rate / max(len(chosen), 1))
    findings: list[Finding] = []
    tests = 0
    for end in chosen:
        at = from_micros(end)
        found, figures = against_envelope(_slice(snapshot, time, end - cut.length, end), each, envelope, at)
        findings += [replace(one, sentence=f"until {at:%Y-%m-%d %H:%M} UTC, {one.sentence}") for one in found]
        tests += figures
    return BesideHistory(tuple(findings), len(chosen), tests, from_micros(ends[-1]) if ends else after)


@dataclass(frozen=True, slots=True)
class _Cut:
    """How history was cut: its last slice ended at *last*, each was *length* long, microseconds."""

    last: int
    length: int

    @classmethod
    def of(cls, envelope: Envelope) -> _Cut:
        """Return the longest slice whose multiples all distances between ends are: a slice without rows has no end."""
        ends = [to_micros(end) for end in envelope.ends]
        return cls(ends[-1], math.gcd(*(later - earlier for earlier, later in pairwise(ends))))

    def ends(self, times_N: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Return the ends of the slices after history that have one of the times, ascending."""
        later = times_N[times_N >= self.last] - self.last
        return np.unique(np.floor_divide(later, self.length).astype(np.int64) + 1) * self.length + self.last


def _micros(rows: pa.Table, time: str) -> npt.NDArray[np.float64]:
    """Return the times that there are."""
    numbers_N = View.of(time, rows[time]).numbers
    return numbers_N[~np.isnan(numbers_N)]


def _slice(snapshot: Snapshot, time: str, start: int, end: int) -> pa.Table:
    """Return the rows of a slice of time, microseconds."""
    kind = snapshot.schema.field(time).type
    first, last = (pa.scalar(at, pa.timestamp("us", "UTC")).cast(kind) for at in (start, end))
    within = (ds.field(time) >= first) & (ds.field(time) < last)
    return ds.dataset(list(snapshot.files), schema=snapshot.schema, format="parquet").to_table(filter=within)
