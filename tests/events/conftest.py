"""Rows and files for the tests of the data path."""

from __future__ import annotations

import csv
import json
import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.events.lake import Lake

Row = dict[str, Any]
MakeRows = Callable[..., list[Row]]
WriteRows = Callable[[list[Row], str], Path]
ReadTable = Callable[..., list[Row]]

_PARTS = ((21, "night"), (17, "evening"), (12, "afternoon"), (5, "morning"), (0, "night"))


def _row(random_: random.Random, number: int) -> Row:
    at = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(milliseconds=random_.randrange(300 * 86_400_000))
    click = int(random_.random() < 0.3)
    return {
        "interaction_id": str(uuid.UUID(int=random_.getrandbits(128))),
        "user_id": random_.randrange(50),
        "item_id": random_.randrange(80),
        "timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z",
        "click": click,
        "like": click * random_.randrange(2),
        "share": 0,
        "dwell_time": round(random_.uniform(0, 300), 2),
        "device": random_.choice(["mobile", "desktop", "tablet"]),
        "time_of_day": next(name for hour, name in _PARTS if at.hour >= hour),
        "day_of_week": at.weekday(),
        "position": number % 10 + 1,
    }


@pytest.fixture(scope="session")
def make_rows() -> MakeRows:
    """Sound interactions, the same for the same seed."""

    def make(n: int, seed: int = 0) -> list[Row]:
        random_ = random.Random(seed)
        return [_row(random_, number) for number in range(n)]

    return make


@pytest.fixture(scope="session")
def write_file() -> Callable[[list[Row], Path], Path]:
    """Write rows to a file; its suffix names the format."""

    def write(rows: list[Row], path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        elif path.suffix == ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        else:
            with path.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        return path

    return write


@pytest.fixture
def write_rows(tmp_path: Path, write_file: Callable[[list[Row], Path], Path]) -> WriteRows:
    """Write rows to a file below the test's folder."""
    return lambda rows, name: write_file(rows, tmp_path / name)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    return Home(tmp_path / "home")


@pytest.fixture(scope="session")
def clock() -> ManualClock:
    """A clock that stands at the end of 2024."""
    return ManualClock(datetime(2024, 12, 31, tzinfo=UTC))


@pytest.fixture(scope="session")
def read_table() -> ReadTable:
    """The rows of a table, times as microseconds, sorted by its first column."""

    def read(home: Home, table: str = "interactions", version: int | None = None) -> list[Row]:
        snapshot = Lake(home).snapshot(table, version)
        columns = [
            f'epoch_us("{field.name}") AS "{field.name}"' if pa.types.is_timestamp(field.type) else f'"{field.name}"'
            for field in snapshot.schema
        ]
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            select = ", ".join(columns)
            rows = connection.sql(f"SELECT {select} FROM {snapshot.sql} ORDER BY 1").to_arrow_table()
            return list(rows.to_pylist())

    return read
