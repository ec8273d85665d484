"""What a registered model did: what it answered, when it served, and what people did with its answers.

The prediction log is read a part at a time, so the memory this takes does not grow with the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from orita.control.deployments import Deployment
from orita.core.clock import from_micros
from orita.core.errors import NotFound
from orita.core.home import Home
from orita.core.progress import SILENT, Progress
from orita.core.sql import literal, quoted
from orita.events.engine import one_row, open_engine
from orita.events.lake import Lake
from orita.events.prediction_files import Part, prediction_parts
from orita.features.system import System

__all__ = ["Answers", "Feedback", "Found", "Period", "answers_of", "feedback_of", "find_prediction", "periods_of"]

_MOST_ITEMS = 100


@dataclass(slots=True)
class Answers:
    """What a version answered.

    Attributes:
        rows: scored items.
        requests: answered requests.
        first, last: when, ISO 8601; empty where it answered nothing.
        days: rows and requests by UTC day.
    """

    rows: int = 0
    requests: int = 0
    first: str = ""
    last: str = ""
    days: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Feedback:
    """What came back: events that answer a prediction of a version, by request and item.

    Attributes:
        rows: such events.
        positives: of them with the label 1.
        first, last: when, ISO 8601.
    """

    rows: int = 0
    positives: int = 0
    first: str = ""
    last: str = ""


@dataclass(frozen=True, slots=True)
class Period:
    """A time in which a version was champion; *end* is empty while it is."""

    start: str
    end: str
    actor: str
    reason: str
    kind: str


@dataclass(frozen=True, slots=True)
class Found:
    """A prediction that was looked for, or all of the request that was.

    Attributes:
        request_id, system, version, user_id: of the request.
        at: when it was answered, ISO 8601.
        as_of: the time its features were computed for.
        items: prediction id, item, score, rank and features of each scored item that was meant, at most 100.
        rows: how many there are.
    """

    request_id: str
    system: str
    version: str
    user_id: str
    at: str
    as_of: str
    items: list[dict[str, Any]]
    rows: int


def answers_of(home: Home, system: str, version: str, *, progress: Progress = SILENT) -> Answers:
    """Return what *version* of *system* answered; a request is counted in the part of the log that holds it."""
    found = Answers()
    parts = list(_parts_of(home, version))
    with progress.bar("Read the prediction log", total=len(parts)) as bar:
        for part in parts:
            rows = part.read(["timestamp", "request_id"], _of(system, version))
            if len(rows):
                _count(found, part.day, rows)
            bar.advance()
    return found


def feedback_of(home: Home, system: System, version: str, *, memory_mb: int = 1024) -> Feedback:
    """Return the events of *system* that answer predictions of *version*; what does not fit into memory is spilled."""
    lake, source, label = Lake(home), system.source.name, system.label.column.name
    parts = list(_parts_of(home, version))
    if not parts or not lake.exists(source):
        return Feedback()
    snapshot = lake.snapshot(source)
    if "request_id" not in snapshot.schema.names:
        return Feedback()
    files = [str(part.source) for part in parts if isinstance(part.source, Path)]
    written = [part.source for part in parts if isinstance(part.source, pa.Table)]
    with open_engine(home.staging, memory_mb) as connection:
        options = "union_by_name = true, hive_partitioning = false"
        relations = [f"read_parquet([{', '.join(map(literal, files))}], {options})"] if files else []
        for number, rows in enumerate(written):
            connection.register(f"written_{number}", rows.drop_columns(["features"]))
            relations.append(f"written_{number}")
        ours = f"WHERE system = {literal(system.name)} AND model_version = {literal(version)}"
        answered = " UNION ALL ".join(f"SELECT request_id, item_id FROM {relation} {ours}" for relation in relations)
        item, time = quoted(system.item.columns[0]), quoted(system.source.schema.time or "timestamp")
        rows, positives, *ends = one_row(
            connection,
            f"SELECT count(*), coalesce(sum({quoted(label)}), 0), epoch_us(min({time})), epoch_us(max({time})) "
            f"FROM {snapshot.sql} WHERE (request_id, CAST({item} AS VARCHAR)) IN ({answered})",
        )
    first, last = ("" if at is None else from_micros(at).isoformat() for at in ends)
    return Feedback(int(rows), int(positives), first, last)


def periods_of(history: list[Deployment], version: str) -> list[Period]:
    """Return when *version* was champion; *history* is every deployment of its system, the oldest first."""
    found: list[Period] = []
    serving: Deployment | None = None
    for event in history:
        if serving is not None and event.version != version:
            found.append(_period(serving, event.at.isoformat()))
            serving = None
        elif serving is None and event.version == version:
            serving = event
    return found + ([_period(serving, "")] if serving is not None else [])


def find_prediction(home: Home, identity: str, *, progress: Progress = SILENT) -> Found:
    """Return the prediction, or the request, that has this id; the days that the id may be of are read first.

    Raises:
        NotFound: no part of the log has it.
    """
    day = _day_of(identity)
    parts = sorted(prediction_parts(home), key=lambda part: (part.day != day, -part.day.toordinal(), part.name))
    with progress.bar("Look into the prediction log", total=len(parts)) as bar:
        for part in parts:
            # The id of a prediction holds its time, so only parts of that day can have it.
            names = ["prediction_id", "request_id"] if part.day == day else ["request_id"]
            for name in names:
                if len(part.read([name], pc.field(name) == identity)):
                    return _found(part, pc.field(name) == identity)
            bar.advance()
    raise NotFound(
        f"no prediction and no request has the id {identity!r} in the prediction log ({len(parts):,} parts): give the "
        "request_id of an answer, or the prediction_id of a row of the log."
    )


def _parts_of(home: Home, version: str) -> Iterator[Part]:
    return (part for part in prediction_parts(home) if part.model_version in (None, version))


def _of(system: str, version: str) -> pc.Expression:
    return (pc.field("model_version") == version) & (pc.field("system") == system)


def _count(found: Answers, day: date, rows: pa.Table) -> None:
    requests, ends = pc.count_distinct(rows["request_id"]).as_py(), pc.min_max(rows["timestamp"]).as_py()
    first, last = ends["min"].isoformat(), ends["max"].isoformat()
    found.rows += len(rows)
    found.requests += requests
    found.first = min(found.first or first, first)
    found.last = max(found.last, last)
    of_day = found.days.setdefault(day.isoformat(), {"rows": 0, "requests": 0})
    of_day["rows"] += len(rows)
    of_day["requests"] += requests


def _found(part: Part, wanted: pc.Expression) -> Found:
    names = ["prediction_id", "request_id", "system", "model_version", "user_id", "timestamp", "as_of"]
    of_item = ["prediction_id", "item_id", "score", "rank", "features"]
    rows = part.read(list(dict.fromkeys([*names, *of_item])), wanted)
    first = rows.slice(0, 1).to_pylist()[0]
    return Found(
        request_id=first["request_id"],
        system=first["system"],
        version=first["model_version"],
        user_id=first["user_id"],
        at=first["timestamp"].isoformat(),
        as_of=first["as_of"].isoformat(),
        items=rows.select(of_item).slice(0, _MOST_ITEMS).to_pylist(),
        rows=len(rows),
    )


def _day_of(identity: str) -> date | None:
    """Return the UTC day that a UUID of version 7 holds, None of anything else."""
    with suppress(ValueError, OverflowError):
        value = UUID(identity)
        if value.version == 7:
            return from_micros((value.int >> 80) * 1000).date()
    return None


def _period(event: Deployment, end: str) -> Period:
    return Period(event.at.isoformat(), end, event.actor, event.reason, event.kind)
