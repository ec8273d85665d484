"""What the prediction log holds, at a glance: its days, and its latest requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orita.core.home import Home
from orita.core.progress import SILENT, Progress
from orita.core.sql import literal
from orita.events.engine import draw_nothing
from orita.events.prediction_files import Part, parts_of_day, prediction_parts
from orita.events.prediction_view import read_parquet_rows

__all__ = ["LoggedDay", "latest_requests", "logged_days"]

_COLUMNS = ("prediction_id", "timestamp", "user_id", "item_id", "score", "rank", "model_version", "latency_ms")
_ANSWER = "request_id, substr(prediction_id, 20)"  # what all rows of one answer share, and no other


@dataclass(frozen=True, slots=True)
class LoggedDay:
    """A UTC day of the log.

    Attributes:
        day: which.
        rows: scored items.
        parts: segments, as files.
        open_parts: of them those that are not Parquet yet.
        size: of its Parquet files, in bytes.
    """

    day: date
    rows: int
    parts: int
    open_parts: int
    size: int


def logged_days(home: Home) -> list[LoggedDay]:
    """Return the days of the log, the oldest first; of a Parquet file only what it says of itself is read."""
    days: dict[date, list[tuple[int, int, int]]] = {}
    for part in prediction_parts(home):
        days.setdefault(part.day, []).append(_sizes(part))
    return [
        LoggedDay(day, sum(s[0] for s in sizes), len(sizes), sum(s[1] for s in sizes), sum(s[2] for s in sizes))
        for day, sizes in sorted(days.items())
    ]


def latest_requests(
    home: Home,
    limit: int = 20,
    *,
    system: str | None = None,
    user: str | None = None,
    model_version: str | None = None,
    day: date | None = None,
    progress: Progress = SILENT,
) -> list[dict[str, Any]]:
    """Return the latest answered requests, the latest first.

    Args:
        home: whose log.
        limit: at most so many.
        system, user, model_version: of these only; the user's id as text.
        day: of this UTC day only.
        progress: where to draw progress; parts are read from the latest on until there are enough.

    Each is a dict of request_id, timestamp, user_id, items (their number), best (the first item's id), score (its),
    model_version and latency_ms.
    """
    wanted = {"system": system, "user_id": user, "model_version": model_version}
    where = " AND ".join(f"{name} = {literal(value)}" for name, value in wanted.items() if value is not None) or "true"
    parts = prediction_parts(home) if day is None else parts_of_day(home, day)
    found: list[dict[str, Any]] = []
    with progress.bar("Read the prediction log", total=len(parts)) as bar:
        for last, part in _latest_first(parts):
            if len(found) == limit and found[-1]["timestamp"] >= last:
                break
            found = sorted(found + _requests(part, where, limit), key=_answered_at, reverse=True)[:limit]
            bar.advance()
    return found


def _answered_at(request: dict[str, Any]) -> datetime:
    at: datetime = request["timestamp"]
    return at


def _latest_first(parts: list[Part]) -> Iterator[tuple[datetime, Part]]:
    """Yield each part with the time of its latest row, the latest first; a day is looked at once it is its turn."""
    for day in sorted({part.day for part in parts}, reverse=True):
        ends = [(end, part) for part in parts if part.day == day and (end := _last_of(part)) is not None]
        yield from sorted(ends, key=lambda end: end[0], reverse=True)


def _last_of(part: Part) -> datetime | None:
    """Return the time of a part's latest row, as far as its Parquet file says; None where it was let go."""
    last: datetime
    if not isinstance(part.source, Path):
        last = pc.max(part.source["timestamp"]).as_py()
        return last
    try:
        file = pq.read_metadata(part.source)
    except FileNotFoundError:
        return None
    columns = [file.schema.column(position).path for position in range(file.num_columns)]
    place = columns.index("timestamp")
    groups = [file.row_group(group).column(place).statistics for group in range(file.num_row_groups)]
    last = max((each.max for each in groups if each is not None), default=datetime.max.replace(tzinfo=UTC))
    return last


def _requests(part: Part, where: str, limit: int) -> list[dict[str, Any]]:
    select = (
        "SELECT request_id, min(timestamp) AS timestamp, any_value(user_id) AS user_id, count(*) AS items, "
        "arg_min(item_id, rank) AS best, arg_min(score, rank) AS score, any_value(model_version) AS model_version, "
        "any_value(latency_ms) AS latency_ms"
    )
    where = f"{where} GROUP BY {_ANSWER} ORDER BY min(timestamp) DESC LIMIT {limit}"
    if isinstance(part.source, Path):
        rows = read_parquet_rows([part.source], select, where)
    else:
        rows = _of_table(part.source.select([*_COLUMNS, "request_id", "system"]), select, where)
    made: list[dict[str, Any]] = rows.to_pylist()
    return made


def _of_table(rows: pa.Table, select: str, where: str) -> pa.Table:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        draw_nothing(connection)
        connection.register("written", rows)
        return connection.sql(f"{select} FROM written WHERE {where}").to_arrow_table()


def _sizes(part: Part) -> tuple[int, int, int]:
    """Return how many rows a part has, whether it is not Parquet yet, and its bytes as Parquet."""
    if not isinstance(part.source, Path):
        return len(part.source), 1, 0
    try:
        return pq.read_metadata(part.source).num_rows, 0, part.source.stat().st_size
    except FileNotFoundError:  # let go since it was listed
        return 0, 0, 0
