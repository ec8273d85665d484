"""Kept profiles of streams against those that the log gives: counts exactly, sketches within their error."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict

import numpy as np
import pyarrow as pa

from orita.core.clock import from_micros
from orita.core.home import Home
from orita.core.progress import Progress
from orita.events.log.log import EventLog
from orita.monitoring.profiles.column import ColumnProfile
from orita.monitoring.profiles.moments import Moments
from orita.monitoring.profiles.profiler import Key, Profiler, Slicing, slice_begin
from orita.monitoring.profiles.streamed import StreamProfiles, kept_slicing
from orita.monitoring.profiles.table import TableProfile
from orita.pipelines.replaying.findings import Part
from orita.pipelines.replaying.span import Span

__all__ = ["replay_profiles"]

_ROWS = 1 << 16
_SLICES_AT_ONCE = 240
_SHARES = tuple(each / 20 for each in range(1, 20))
_RANK_ERROR = 2 * 0.0133
"""Of two KLL sketches of one size: each is off by 1.33 % at most, with 99.9 % confidence."""

_RELATIVE = 1e-9
RETIRED = "profiles of columns and slices whose rows the log may have let go of"


def replay_profiles(home: Home, log: EventLog, span: Span, progress: Progress) -> Part:
    """Profile what the log has of each stream whose profiles are kept, and compare the slices that begin in *span*."""
    part = Part("profiles", "profiles of a column in a slice")
    for stream in log.streams():
        slicing = kept_slicing(home, stream)
        if slicing is None:
            continue
        kept = StreamProfiles.open(home, stream, slicing)
        for start, end in _pieces(span, slicing.every_micros or 0):
            whole_from = _whole_from(log, stream, kept)
            again = _profiled(log, stream, kept, start, end, progress)
            _compare(part, stream, kept.read(start, end), again, whole_from)
    return part


def _pieces(span: Span, every: int) -> Iterator[tuple[int, int]]:
    """Yield spans of so many slices as may be held in memory."""
    start, end = span.micros
    length = max(every, 1) * _SLICES_AT_ONCE
    while start < end:
        yield start, min(start + length, end)
        start += length


def _whole_from(log: EventLog, stream: str, kept: StreamProfiles) -> int:
    """Return from which slice on the log has all rows, as far as rows are not of the future; 0: all slices."""
    found = 0
    for partition in kept.offsets:
        start = log.start(stream, partition)
        if not start:
            continue
        if start >= log.end(stream, partition):
            return np.iinfo(np.int64).max
        found = max(found, int(log.read(stream, partition, start, 1).appended_at_N[0]))
    return found


def _profiled(
    log: EventLog, stream: str, kept: StreamProfiles, start: int, end: int, progress: Progress
) -> dict[Key, TableProfile]:
    """Profile the rows of slices that begin in [*start*, *end*), up to where the kept profiles hold the log."""
    profiler = Profiler(kept.slicing)
    with progress.bar(f"Profile the log of {stream} again") as bar:
        for partition, until in kept.offsets.items():
            at = log.start(stream, partition)
            while at < until:
                batch = log.read(stream, partition, at, min(_ROWS, until - at))
                profiler.update(_within(batch.rows, kept.slicing, start, end))
                bar.advance(batch.next - at)
                at = batch.next
    return profiler.parts


def _within(rows: pa.RecordBatch, slicing: Slicing, start: int, end: int) -> pa.RecordBatch:
    """Return the rows whose slice begins in [*start*, *end*)."""
    name, every = slicing.time, slicing.every_micros
    if name is None or every is None or name not in rows.schema.names:
        return rows
    times = rows.column(name)
    if not pa.types.is_timestamp(times.type):
        return rows
    micros = times.cast(pa.timestamp("us", times.type.tz), safe=False).cast(pa.int64())
    begun_N = slice_begin(micros.fill_null(-1).to_numpy(zero_copy_only=False), every)
    known_N = np.asarray(micros.is_valid().to_numpy(zero_copy_only=False))
    return rows.filter(pa.array(known_N & (begun_N >= start) & (begun_N < end)))


def _compare(
    part: Part,
    stream: str,
    kept: Mapping[Key, TableProfile],
    again: Mapping[Key, TableProfile],
    whole_from: int,
) -> None:
    for key in sorted(kept.keys() | again.keys(), key=lambda key: (key.slice or 0, key.segment or "")):
        columns = (kept.get(key) or again[key]).columns
        if key.slice is not None and key.slice < whole_from:
            part.leave_out(RETIRED, len(columns))
            continue
        day = "" if key.slice is None else from_micros(key.slice).date().isoformat()
        at = None if key.slice is None else from_micros(key.slice).isoformat()
        for name in columns:
            told = {"stream": stream, "slice": at, "segment": key.segment, "column": name}
            if key not in kept or key not in again:
                part.compared(name, day, 1, 1)
                part.differs("lost_slice" if key not in kept else "unknown_slice", 1, told)
                continue
            found = _difference(kept[key], again[key], name)
            part.compared(name, day, 1, int(found is not None))
            if found is not None:
                kind, was, now = found
                part.differs(kind, 1, {**told, "kept": was, "rebuilt": now})


def _difference(kept: TableProfile, again: TableProfile, name: str) -> tuple[str, object, object] | None:
    """Return how two profiles of a column differ first: the kind, and both figures."""
    if name not in again.columns:
        return "counts", kept.columns[name].rows, 0
    was, now = kept.columns[name], again.columns[name]
    for figure in ("rows", "nulls", "nans", "infinite"):
        if getattr(was, figure) != getattr(now, figure):
            return "counts", {figure: getattr(was, figure)}, {figure: getattr(now, figure)}
    if kept.rows != again.rows:
        return "counts", {"rows": kept.rows}, {"rows": again.rows}
    for one, other in ((was.moments, now.moments), (was.lengths, now.lengths)):
        if not _near(one, other):
            return "moments", _told(one), _told(other)
    return _sketched(was, now)


def _sketched(was: ColumnProfile, now: ColumnProfile) -> tuple[str, object, object] | None:
    if not math.isclose(was.distinct.estimate(), now.distinct.estimate(), rel_tol=_RELATIVE):
        return "distinct", was.distinct.estimate(), now.distinct.estimate()
    if was.quantiles.count != now.quantiles.count:
        return "quantiles", was.quantiles.count, now.quantiles.count
    if now.quantiles.count:
        values = now.quantiles.quantiles(_SHARES)
        gap = max(abs(a - b) for a, b in zip(was.quantiles.ranks(values), now.quantiles.ranks(values), strict=True))
        if gap > _RANK_ERROR:
            return "quantiles", f"a rank is {gap:.2%} off", f"allowed are {_RANK_ERROR:.2%}"
    first, second = was.frequent.top(), now.frequent.top()
    if was.frequent.complete and now.frequent.complete and first != second:
        return "frequent", [asdict(each) for each in first[:3]], [asdict(each) for each in second[:3]]
    counted = {each.value: each for each in first}
    for each in second:
        known = counted.get(each.value)
        if known is not None and (known.low > each.high or known.high < each.low):
            return "frequent", asdict(known), asdict(each)
    return None


def _near(one: Moments, other: Moments) -> bool:
    """Tell whether two moments are of the same values, to the rounding of another order of adding them."""
    if (one.count, one.minimum, one.maximum) != (other.count, other.minimum, other.maximum):
        return False
    if not one.count:
        return True
    scale = max(abs(one.minimum), abs(one.maximum))
    return abs(one.mean - other.mean) <= _RELATIVE * scale and abs(one.m2 - other.m2) <= _RELATIVE * max(
        one.m2, other.m2, scale * scale * one.count * 1e-6
    )


def _told(moments: Moments) -> dict[str, float | None]:
    return {
        name: value if math.isfinite(value) else None
        for name, value in (
            ("count", float(moments.count)),
            ("mean", moments.mean),
            ("m2", moments.m2),
            ("minimum", moments.minimum),
            ("maximum", moments.maximum),
        )
    }
