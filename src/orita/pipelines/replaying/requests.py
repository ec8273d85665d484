"""Which logged answers are replayed: those of a day that the model itself gave, all of them or a sample of requests."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orita.events.prediction_files import Part as LogPart
from orita.events.prediction_files import prediction_parts
from orita.events.predictions import condition
from orita.pipelines.replaying.span import Span
from orita.pipelines.workspace import Workspace

__all__ = ["REPLAYED", "answered_rows"]

REPLAYED = ("timestamp", "request_id", "user_id", "item_id", "score", "as_of", "model_version", "objective", "features")
"""What is read of the prediction log."""

_MOST_ROWS = 200_000


def answered_rows(workspace: Workspace, span: Span, sample: int | None) -> Iterator[pa.Table]:
    """Yield the rows of requests that were answered in *span*, those of one version at a time, 200,000 or so at most.

    Args:
        workspace: whose log.
        span: a day, or less.
        sample: so many requests at most, the same ones at each call; None: all.
    """
    parts = prediction_parts(workspace.home, span.start, span.end)
    wanted = condition(span.start, span.end, None, workspace.system.name, (1,))
    chosen = None if sample is None else _chosen(parts, wanted, sample)
    held: dict[str, list[pa.Table]] = {}
    for part in parts:
        rows = part.read(REPLAYED, wanted)
        if chosen is not None:
            rows = rows.filter(pc.is_in(rows["request_id"], chosen))
        for version in rows["model_version"].unique().to_pylist():
            mine = rows.filter(pc.equal(rows["model_version"], version))
            before = held.setdefault(version, [])
            if before and (not before[0].schema.equals(mine.schema) or sum(map(len, before)) >= _MOST_ROWS):
                yield pa.concat_tables(before)
                before.clear()
            before.append(mine)
    for tables in held.values():
        if tables:
            yield pa.concat_tables(tables)


def days_of(rows: pa.Table) -> list[str]:
    """Return the UTC day of each row's answer."""
    micros = np.asarray(rows["timestamp"].cast(pa.int64()).to_numpy())
    days, place_N = np.unique(micros // 86_400_000_000, return_inverse=True)
    names = [datetime.fromtimestamp(int(day) * 86_400, UTC).date().isoformat() for day in days]
    return [names[place] for place in place_N.tolist()]


def _chosen(parts: list[LogPart], wanted: pc.Expression | None, sample: int) -> pa.Array:
    """Return the ids of *sample* requests: those with the smallest checksums, which is a draw that repeats itself."""
    drawn: set[tuple[int, str]] = set()
    for part in parts:
        ids = part.read(("request_id",), wanted)["request_id"].unique().drop_null().to_pylist()
        drawn |= {(zlib.crc32(each.encode()), each) for each in ids}
        drawn = set(sorted(drawn)[:sample])
    return pa.array([each for _, each in sorted(drawn)], pa.string())
