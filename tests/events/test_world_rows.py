"""Generated rows keep the Interaction contract, at every size."""

from __future__ import annotations

import uuid
from collections import defaultdict
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orita.core.clock import to_micros
from orita.events.world import DEVICES, World, WorldConfig, interactions

CONTRACT = [
    "interaction_id", "user_id", "item_id", "timestamp", "click", "like", "share", "dwell_time", "device",
    "time_of_day", "day_of_week", "request_id", "position",
]  # fmt: skip


@pytest.fixture(scope="module")
def world() -> World:
    """A small world."""
    return World.build(WorldConfig(num_users=80, num_items=600, num_interactions=5_003, topics=5, seed=3))


@pytest.fixture(scope="module")
def rows(world: World) -> list[dict[str, object]]:
    """Its history."""
    found: list[dict[str, object]] = interactions(world).to_pylist()
    return found


def _time(text: object) -> datetime:
    return datetime.fromisoformat(str(text))


def _part_of_day(hour: int) -> str:
    return {5 <= hour < 12: "morning", 12 <= hour < 17: "afternoon", 17 <= hour < 21: "evening"}.get(True, "night")


def test_columns_are_those_of_the_contract(world: World) -> None:
    """The columns are the contract's, in its order, then the two optional ones; ids are integers, texts strings."""
    table = interactions(world)
    assert table.schema.names == CONTRACT
    assert table.schema.field("timestamp").type == pa.string()
    assert table.schema.field("user_id").type == pa.int64()
    assert table.num_rows == 5_003
    assert all(column.null_count == 0 for column in table.columns)


def test_times_agree_and_ascend(rows: list[dict[str, object]], world: World) -> None:
    """Rows ascend in time within the half-open range; time_of_day and day_of_week say what the timestamp says."""
    times = [_time(row["timestamp"]) for row in rows]
    assert times == sorted(times)
    assert datetime(2024, 1, 1, tzinfo=UTC) <= times[0]
    assert times[-1] < datetime(2024, 11, 15, tzinfo=UTC)
    assert all(str(row["timestamp"]).endswith("Z") for row in rows)
    for row, at in zip(rows, times, strict=True):
        assert row["time_of_day"] == _part_of_day(at.hour)
        assert row["day_of_week"] == at.weekday()


def test_ids_are_uuids_of_their_time(rows: list[dict[str, object]]) -> None:
    """Interaction and request ids are UUIDs version 7 that carry the event's milliseconds; the former never repeat."""
    for row in rows:
        for name in ("interaction_id", "request_id"):
            value = uuid.UUID(str(row[name]))
            assert value.version == 7
            assert value.variant == uuid.RFC_4122
            assert value.int >> 80 == to_micros(_time(row["timestamp"])) // 1000
    assert len({row["interaction_id"] for row in rows}) == len(rows)


def test_values_stay_in_their_bounds(world: World) -> None:
    """Flags are 0 or 1, like and share come only with a click, dwell is 0 … 300 in hundredths, ids are in range."""
    table = interactions(world)
    click, like, share = (table[name].to_numpy() for name in ("click", "like", "share"))
    assert set(click) == {0, 1}
    assert set(like) == {0, 1}
    assert not (like > click).any()
    assert not (share > click).any()
    dwell = table["dwell_time"].to_numpy()
    assert dwell.min() >= 0
    assert dwell.max() <= 300
    assert [float(f"{value:.2f}") for value in dwell] == dwell.tolist()
    assert table["user_id"].to_numpy().min() >= 0
    assert table["user_id"].to_numpy().max() < 80
    assert table["item_id"].to_numpy().max() < 600
    assert set(table["device"].to_pylist()) == set(DEVICES)


def test_rows_of_a_request_are_one_page(rows: list[dict[str, object]], world: World) -> None:
    """Rows of a request share user, time and device, number their positions from 1, and show each item once."""
    pages = defaultdict(list)
    for row in rows:
        pages[row["request_id"]].append(row)
    assert len(pages) == -(-5_003 // world.page_length)
    for page in pages.values():
        assert len({(row["user_id"], row["timestamp"], row["device"]) for row in page}) == 1
        assert [row["position"] for row in page] == list(range(1, len(page) + 1))
        assert len({row["item_id"] for row in page}) == len(page)


def test_nobody_comes_before_they_joined_and_nothing_is_shown_before_it_exists(world: World) -> None:
    """Every row is later than its user's joined_at and its item's created_at."""
    table = interactions(world)
    at_N = np.array([to_micros(_time(text)) for text in table["timestamp"].to_pylist()])
    joined_U = np.array([to_micros(_time(text)) for text in world.users()["joined_at"].to_pylist()])
    created_I = np.array([to_micros(_time(text)) for text in world.items()["created_at"].to_pylist()])
    assert (joined_U[table["user_id"].to_numpy()] <= at_N).all()
    assert (created_I[table["item_id"].to_numpy()] <= at_N).all()
    assert (created_I > world.rhythm.start).any()
    assert (joined_U > world.rhythm.start).any()


def test_entity_tables_hide_what_models_must_not_see(world: World) -> None:
    """Users and items carry what a platform knows of them; no taste, quality or probability."""
    assert world.users().schema.names == ["user_id", "joined_at", "region"]
    assert world.items().schema.names == ["item_id", "created_at", "topic"]
    assert world.users()["user_id"].to_pylist() == list(range(80))
    topics = world.items()["topic"]
    assert pc.min_max(topics).as_py() == {"min": 0, "max": 4}


@settings(max_examples=25, deadline=None)
@given(
    users=st.integers(2, 30),
    items=st.integers(10, 60),
    count=st.integers(1, 400),
    page=st.integers(1, 40),
    topics=st.integers(2, 20),
    seed=st.integers(0, 2**63 - 1),
)
def test_any_size_works(users: int, items: int, count: int, page: int, topics: int, seed: int) -> None:
    """Any size, also more topics than items or pages longer than the catalogue, gives exactly the rows asked for."""
    config = WorldConfig(
        num_users=users, num_items=items, num_interactions=count, page_length=page, topics=topics, seed=seed
    )
    table = interactions(World.build(config))
    assert table.num_rows == count
    pairs = set(zip(table["request_id"].to_pylist(), table["item_id"].to_pylist(), strict=True))
    assert len(pairs) == count


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """A history of many blocks ascends in time, repeats no id nor random bits, and has the rows asked for."""
    from orita.events.world import history

    monkeypatch.setattr(history, "_BLOCK_ROWS", 500)
    table = interactions(World.build(WorldConfig(num_users=50, num_items=300, num_interactions=7_777)))
    assert table.num_rows == 7_777
    assert table["timestamp"].num_chunks > 10
    stamps = table["timestamp"].to_pylist()
    assert stamps == sorted(stamps)
    assert len({text[-12:] for text in table["interaction_id"].to_pylist()}) == 7_777
