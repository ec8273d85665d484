"""Rows of the log: those that a stream counts are those that the lake keeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from orita import INTERACTION, Column, Entity, Source, system
from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.core.home import Home
from orita.events.config import ValidationConfig
from orita.events.lake import Lake
from orita.events.log.embedded import EmbeddedLog
from orita.events.sink import SinkConfig, sink
from orita.features.api.feature_store import FeatureStore
from orita.features.stores.lmdb import LmdbStore
from orita.features.stream.intake import Intake

CAME = datetime(2024, 5, 1, 12, tzinfo=UTC)
SCHEMA = INTERACTION.with_columns(Column("price", "float"))
ROW: dict[str, Any] = {
    "user_id": 1,
    "item_id": 9,
    "timestamp": CAME - timedelta(hours=2),
    "click": 0,
    "device": "mobile",
}
UNSOUND: dict[str, dict[str, Any]] = {
    "time of day": {"time_of_day": "night"},
    "day of week": {"day_of_week": 6},
    "before 1970": {"timestamp": datetime(1969, 12, 31, tzinfo=UTC)},
    "long ago": {"timestamp": datetime(1600, 12, 31, tzinfo=UTC)},
    "far ahead": {"timestamp": CAME + timedelta(days=2)},
    "known far ahead": {"ingested_at": CAME + timedelta(days=2)},
    "no id": {"interaction_id": ""},
    "blank": {"interaction_id": " e"},
    "long id": {"interaction_id": "e" * 257},
    "negative": {"user_id": -1},
    "flag": {"click": 2},
    "choice": {"device": "fridge"},
    "bound": {"position": 0},
}
SOUND: dict[str, dict[str, Any]] = {
    "plain": {},
    "no device": {"device": None},
    "no flag": {"like": None},
    "agreeing": {"time_of_day": "morning", "day_of_week": 2},
    "a day ahead": {"timestamp": CAME + timedelta(days=1)},
    "NaN": {"dwell_time": float("nan")},
    "far out": {"price": 1e9},
}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    """A log that took every kind of row, and 150 plain ones before, when it was *CAME*."""
    log = EmbeddedLog(Home(tmp_path), ManualClock(CAME))
    log.create("interactions", 2)
    rows = [{**ROW, "interaction_id": f"before {n}", "price": float(n % 5)} for n in range(150)]
    log.append("interactions", pa.Table.from_pylist(rows), key=["user_id"])
    for what, changed in {**UNSOUND, **SOUND}.items():
        row = {**ROW, "interaction_id": what, "price": 1.0, **changed}
        held = {name: value for name, value in row.items() if value is not None}
        log.append("interactions", pa.Table.from_pylist([held]), key=["user_id"])
    yield log
    log.close()


def test_a_stream_counts_what_the_lake_keeps(log: EmbeddedLog, tmp_path: Path) -> None:
    """Both find the same rows sound, a week after they came too; earlier rows of the table make no difference."""
    home, later = Home(tmp_path), ManualClock(CAME + timedelta(days=7))
    report = sink(home, log, "interactions", SCHEMA, clock=later, batching=SinkConfig(max_rows=150))
    assert report.rows_quarantined == len(UNSOUND)
    with duckdb.connect() as engine:
        stored = engine.sql(f"SELECT interaction_id FROM {Lake(home).snapshot('interactions').sql}").fetchall()
    kept = {name for (name,) in stored}
    with closing(LmdbStore(tmp_path / "store")) as store:
        intake = Intake(
            Source("interactions", SCHEMA), log, store, "g", prefix=b"!", horizon=1000,
            id_types={"user_id": pa.int64(), "item_id": pa.int64()}, validation=ValidationConfig(),
        )  # fmt: skip
        taken = intake.take(10_000, 0)
        intake.close(counted=False)
    assert taken is not None
    counted = set(taken.rows["interaction_id"].to_pylist())
    assert counted == kept
    assert {name for name in counted if not name.startswith("before")} == set(SOUND)


def test_a_push_refuses_what_neither_would_take(tmp_path: Path) -> None:
    """Each unsound row is refused at the edge, as is one of nothing, and each sound one is taken."""
    user, item = Entity("user", "user_id"), Entity("item", "item_id")
    events = Source("interactions", SCHEMA)
    small = system("small", label=events.click, rank=item, for_=user)
    small.features(seen=events.count().by(user))
    with closing(FeatureStore(Home(tmp_path), small, clock=ManualClock(CAME))) as store:
        for what, changed in UNSOUND.items():
            with pytest.raises(UserError, match="row 0 of 'interactions'"):
                store.push_features([{**ROW, "interaction_id": what, **changed}])
        with pytest.raises(UserError, match="row 0 of 'interactions': interaction_id is None"):
            store.push_features([{}])
        rows = [{**ROW, "interaction_id": what, **changed} for what, changed in SOUND.items()]
        assert sum(span.next - span.first for span in store.push_features(rows).values()) == len(SOUND)
