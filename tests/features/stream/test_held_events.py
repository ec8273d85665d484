"""An event counts online from when it is known: the stream and publishing hold it until then, and no longer."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from tests.features.stream.test_stream_worker import START, Event, append, drain, held_values, made

from orita import INTERACTION, Entity, Source, system
from orita.core.clock import ManualClock, to_micros
from orita.core.home import Home
from orita.events.arriving import event_table
from orita.events.log.embedded import EmbeddedLog
from orita.features.generations.folder import FolderGenerations
from orita.features.generations.generation import Generation
from orita.features.generations.publish import publish
from orita.features.plan import Plan, plan_of
from orita.features.stores.lmdb import LmdbStore
from orita.features.stream.held import HeldEvents
from orita.features.stream.worker import StreamWorker

USERS = list(range(7))


def late_plan() -> Plan:
    """Return a plan of counts, of a source that is five minutes late."""
    shown = Source("interactions", INTERACTION, delay="5m")
    user, item = Entity("user", "user_id"), Entity("item", "item_id")
    declared = system("counted", label=shown.click, rank=item, for_=user)
    declared.features(by_user=shown.count().by(user), by_item=shown.count().by(item))
    return plan_of(declared)


PLAN = late_plan()


def known_at(event: Event) -> int:
    """Return when *event* is known, microseconds."""
    known = event.get("ingested_at") or event["timestamp"] + timedelta(minutes=5)
    return to_micros(max(known, event["timestamp"] + timedelta(microseconds=1)))


def counts(store: LmdbStore) -> list[float]:
    """Return how many events of each user are in the state."""
    return held_values(store, "user", "by_user", USERS)


def expected(events: list[Event], now: int) -> list[float]:
    """Return how many events of each user are known by *now*."""
    found = Counter(event["user_id"] for event in events if known_at(event) <= now)
    return [float(found[user]) for user in USERS]


def published(events: list[Event], folder: Path, now: int) -> Generation:
    """Publish *events* at the moment *now*."""
    with duckdb.connect() as connection:
        connection.register("file", event_table(INTERACTION, events))
        tables = {"interactions": len(FolderGenerations(folder).names())}
        return publish(
            PLAN, connection, {"interactions": "file"}, FolderGenerations(folder), tables=tables, unique=True,
            known_by=now, at_once=7,
        )  # fmt: skip


def late(count: int, first: int = 0) -> list[Event]:
    """Return events within ten hours, of which some say when they became known, up to an hour late."""
    events = made(count, seed=first, first=first)
    for number, event in enumerate(events):
        if number % 3:
            event["ingested_at"] = event["timestamp"] + timedelta(minutes=number % 61)
    return events


def test_the_stream_counts_an_event_once_it_is_known(tmp_path: Path) -> None:
    """Not a microsecond before the later of its time and its ingestion, or of its time and the delay; then at once."""
    log, store, clock = EmbeddedLog(Home(tmp_path)), LmdbStore(tmp_path / "state"), ManualClock(START)
    events = late(60)
    append(log, events)
    worker = StreamWorker(PLAN, log, store, "g", clock=clock)
    drain(worker)
    for moment in sorted({known_at(event) for event in events})[::7]:
        for clock.at in (START + timedelta(microseconds=moment - to_micros(START) + off) for off in (-1, 0)):
            worker.step()
            assert counts(store) == expected(events, to_micros(clock.now()))
    clock.at = START + timedelta(hours=12)
    assert worker.step().held == 0
    assert counts(store) == expected(events, to_micros(clock.now()))
    worker.close()


def test_publishing_leaves_what_is_not_known_to_the_stream(tmp_path: Path) -> None:
    """A publication counts what is known at its moment; a stream counts the rest in its time, and so does the next."""
    events, clock = late(60), ManualClock(START + timedelta(hours=5))
    now = to_micros(clock.now())
    generation = published(events, tmp_path / "online", now)
    store = LmdbStore(tmp_path / "online" / generation.name)
    assert counts(store) == expected(events, now)
    assert generation.events == sum(known_at(event) <= now for event in events)
    assert generation.due == min(known_at(event) for event in events if known_at(event) > now)
    log = EmbeddedLog(Home(tmp_path))
    log.create("interactions", 1)
    worker = StreamWorker(PLAN, log, store, "g", clock=clock)
    for _ in range(8):
        clock.advance(timedelta(hours=1))
        worker.step()
        assert counts(store) == expected(events, to_micros(clock.now()))
    worker.close()
    later = published(events, tmp_path / "online", to_micros(clock.now()))
    assert (later.events, later.due) == (60, None)
    assert counts(LmdbStore(tmp_path / "online" / later.name)) == counts(store)


def test_workers_share_what_is_held(tmp_path: Path) -> None:
    """What one worker held another counts, once, whichever of them goes on."""
    log, store = EmbeddedLog(Home(tmp_path)), LmdbStore(tmp_path / "state")
    clock = ManualClock(START)
    events = late(40)
    log.create("interactions", 2)
    first = StreamWorker(PLAN, log, store, "g", clock=clock)
    second = StreamWorker(PLAN, log, store, "g", clock=clock)
    for at in range(0, 40, 10):
        append(log, events[at : at + 10], partitions=2)
        for _ in range(6):
            first.step()
            second.step()
        clock.advance(timedelta(hours=2))
    clock.advance(timedelta(hours=9))
    third = StreamWorker(PLAN, log, store, "g", clock=clock)
    for worker in (third, first, second, third):
        worker.step()
    assert counts(store) == expected(events, to_micros(clock.now()))
    for worker in (first, second, third):
        assert worker.step().held == 0
        worker.close()


@pytest.mark.parametrize("most", [1, 10_000])
def test_many_events_that_become_known_at_once_are_counted_in_steps(most: int, tmp_path: Path) -> None:
    """A step counts little more than it may take, and says how many are due; held events lie in small records."""
    log, store, clock = EmbeddedLog(Home(tmp_path)), LmdbStore(tmp_path / "state"), ManualClock(START)
    events = made(2500)
    append(log, events, partitions=1)
    worker = StreamWorker(PLAN, log, store, "g", clock=clock, most_rows=10_000)
    drain(worker)
    worker.close()
    clock.advance(timedelta(days=1))
    again = StreamWorker(PLAN, log, store, "g", clock=clock, most_rows=most)
    step = again.step()
    assert step.counted + step.due == 2500
    assert (step.due == 0) == (most == 10_000)
    while step.due:
        step = again.step()
    assert counts(store) == expected(events, to_micros(clock.now()))
    again.close()


def test_the_type_of_an_id_is_not_decided_by_held_events_without_it(tmp_path: Path) -> None:
    """Events that wait without an id are counted together with later ones that have one, of any type."""
    (source,) = {record.source for record in PLAN.records}
    held = HeldEvents(LmdbStore(tmp_path / "state"), source)
    moment = pa.array([START + timedelta(days=1)], pa.timestamp("us", "UTC"))
    none = pa.table({"timestamp": moment, "item_id": pa.nulls(1, pa.int64())})
    held.keep(held.parted(none, to_micros(START), 10))
    some = pa.table({"timestamp": moment, "item_id": ["shoe"]})
    held.keep(held.parted(some, to_micros(START), 10))
    ready = held.parted(None, to_micros(START + timedelta(days=2)), 10).ready
    assert ready is not None and ready["item_id"].to_pylist() == [None, "shoe"]
