"""The stream engine counts each event of the log once, whatever is killed, repeated, late or early."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.features.stream import counting_worker
from tests.features.stream.counting_worker import SHOWN, counting_plan

from orita.core.clock import ManualClock
from orita.core.errors import OritaError, UserError
from orita.core.home import Home
from orita.events.arriving import event_table
from orita.events.log.embedded import EmbeddedLog
from orita.features.declarations import Entity
from orita.features.keys import encode_id
from orita.features.plan import plan_of
from orita.features.state.layout import row_prefix
from orita.features.stores.lmdb import LmdbStore
from orita.features.stores.store import OnlineStore
from orita.features.stream.intake import offset_name
from orita.features.stream.worker import StreamWorker
from orita.features.system import system

PLAN = counting_plan()
START = datetime(2024, 3, 1, tzinfo=UTC)
Event = dict[str, Any]


def made(count: int, seed: int = 0, first: int = 0) -> list[Event]:
    """Return events of few users and items, some of one time, some out of order."""
    draw = random.Random(seed)
    return [
        {
            "interaction_id": f"e{first + n}",
            "user_id": draw.randrange(7),
            "item_id": draw.randrange(5),
            "timestamp": START + timedelta(minutes=draw.randrange(600)),
            "click": draw.randrange(2),
            "position": draw.randrange(1, 20),
        }
        for n in range(count)
    ]


def append(log: EmbeddedLog, events: list[Event], partitions: int = 3) -> None:
    """Append *events* as pushes do."""
    log.create("interactions", partitions)
    log.append("interactions", event_table(SHOWN.schema, events), key=["user_id"])


def drain(worker: StreamWorker, steps: int = 200) -> Counter[str]:
    """Step until nothing is left; return what was done."""
    done: Counter[str] = Counter()
    quiet = 0
    for _ in range(steps):
        step = worker.step(0.02)
        done.update(counted=step.counted, duplicates=step.duplicates, unsound=step.unsound)
        quiet = 0 if step.counted or step.duplicates or step.unsound else quiet + 1
        if quiet > 8:  # longer than partitions take to be claimed
            break
    return done


def held_values(store: OnlineStore, record: str, feature: str, ids: list[int]) -> list[float]:
    """Return the first slot of a feature of the keys *ids*."""
    (kind,) = [r for r in PLAN.records if r.name == record]
    _, slots = PLAN.place(PLAN.system.declared[feature])  # type: ignore[arg-type]
    rows = store.get_many([row_prefix(PLAN, kind) + encode_id(number) for number in ids])
    return [0.0 if row is None else float(np.frombuffer(row)[slots.start]) for row in rows]


def assert_counted(store: OnlineStore, events: list[Event]) -> None:
    """Assert that the state is that of *events*, each once."""
    users, items = list(range(7)), list(range(5))
    by_user = Counter(e["user_id"] for e in events)
    by_item = Counter(e["item_id"] for e in events)
    assert held_values(store, "user", "by_user", users) == [by_user[u] for u in users]
    assert held_values(store, "item", "by_item", items) == [by_item[i] for i in items]
    clicks = [sum(e["click"] for e in events if e["item_id"] == i) for i in items]
    assert held_values(store, "item", "clicks", items) == clicks
    different = [len({e["item_id"] for e in events if e["user_id"] == u}) for u in users]
    assert held_values(store, "user", "different", users) == different
    for user in users:
        own = [e["timestamp"] for e in events if e["user_id"] == user]
        latest = [t for t in own if t >= max(own) + timedelta(microseconds=1) - timedelta(hours=1)]
        assert held_values(store, "user", "exactly", [user]) == [len(latest)]


@pytest.mark.parametrize("most", [1, 7, 1000])
def test_batches_do_not_matter(most: int, tmp_path: Path) -> None:
    """One by one, a few at a time or all at once: the state is that of the events."""
    log, store = EmbeddedLog(Home(tmp_path)), LmdbStore(tmp_path / "state")
    events = made(60)
    append(log, events)
    worker = StreamWorker(PLAN, log, store, "g", most_rows=most)
    assert drain(worker)["counted"] == 60
    assert_counted(store, events)
    worker.close()


def test_one_id_counts_once_within_the_horizon(tmp_path: Path) -> None:
    """A repeated event is passed over, also by a worker that comes later; beyond the horizon it is another event."""
    log, store = EmbeddedLog(Home(tmp_path)), LmdbStore(tmp_path / "state")
    events = made(30)
    append(log, [*events, *events[:10]], partitions=1)
    worker = StreamWorker(PLAN, log, store, "g", most_rows=11, horizon=60)
    assert drain(worker) == Counter(counted=30, duplicates=10, unsound=0)
    worker.close()
    append(log, events[5:15], partitions=1)
    again = StreamWorker(PLAN, log, store, "g", horizon=60)
    assert drain(again)["duplicates"] == 10
    assert_counted(store, events)
    append(log, made(30, seed=1, first=100), partitions=1)
    append(log, [events[0], events[20]], partitions=1)
    assert drain(again) == Counter(counted=31, duplicates=1, unsound=0), "the first came again 50 offsets ago"
    again.close()


def test_what_counts_as_a_repetition_depends_on_the_log_alone(tmp_path: Path) -> None:
    """However the log is cut into batches, the same events are taken for repetitions."""
    events = made(40)
    sent = [*events, *events[:20], *events[10:30]]
    counted = []
    for number, most in enumerate((1, 9, 100)):
        log, store = EmbeddedLog(Home(tmp_path / str(number))), LmdbStore(tmp_path / f"state{number}")
        append(log, sent, partitions=1)
        worker = StreamWorker(PLAN, log, store, "g", most_rows=most, horizon=35)
        counted.append((drain(worker), held_values(store, "user", "by_user", list(range(7)))))
        worker.close()
    assert counted[0] == counted[1] == counted[2]


def test_events_from_the_future_wait_for_their_time(tmp_path: Path) -> None:
    """An event whose time has not come is held, over a restart, and counts once its time is past."""
    log, store = EmbeddedLog(Home(tmp_path)), LmdbStore(tmp_path / "state")
    now, later = made(10), made(5, seed=3, first=50)
    clock = ManualClock(START + timedelta(days=1))
    for event in later:
        event["timestamp"] = START + timedelta(days=2)
    append(log, [*now, *later])
    worker = StreamWorker(PLAN, log, store, "g", clock=clock)
    drain(worker)
    assert worker.step().held == 5
    assert_counted(store, now)
    worker.close()
    again = StreamWorker(PLAN, log, store, "g", clock=clock)
    assert again.step().held == 5
    clock.advance(timedelta(days=2))
    assert drain(again)["counted"] == 5
    assert_counted(store, now + later)
    assert again.step().held == 0
    again.close()


def test_unsound_rows_of_others_are_passed_over(tmp_path: Path) -> None:
    """What someone else wrote into the log is not believed: a row that breaks a rule changes nothing."""
    log, store = EmbeddedLog(Home(tmp_path)), LmdbStore(tmp_path / "state")
    events = made(6)
    log.create("interactions", 1)
    rows = event_table(SHOWN.schema, events)
    log.append("interactions", rows.set_column(4, "click", pa.array([0, 1, 7, 0, 1, 9], pa.int8())), key=["user_id"])
    worker = StreamWorker(PLAN, log, store, "g")
    assert drain(worker) == Counter(counted=4, duplicates=0, unsound=2)
    worker.close()


def test_two_workers_share_the_partitions_and_the_items(tmp_path: Path) -> None:
    """Items are counted by workers of different partitions of users, in turns, and right."""
    events = made(300)
    log = EmbeddedLog(Home(tmp_path))
    append(log, events, partitions=4)
    workers = [_started(tmp_path, most=3) for _ in range(2)]
    counted = [sum(int(line) for line in worker.communicate()[0].split()) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert sum(counted) == 300
    assert_counted(LmdbStore(tmp_path / "state"), events)


@pytest.mark.parametrize("kills", [3, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_workers_count_every_event_once(kills: int, tmp_path: Path) -> None:
    """After kill -9 at any moment the next worker goes on where the state stands: every count is exact."""
    draw = random.Random(kills)
    log = EmbeddedLog(Home(tmp_path))
    events = made(40 * kills, seed=kills)
    for first in range(0, len(events), 500):
        append(log, events[first : first + 500])
    for _ in range(kills):
        worker = _started(tmp_path, most=10)
        assert worker.stdout is not None
        worker.stdout.readline()
        time.sleep(draw.random() * 0.03)
        worker.kill()
        worker.communicate()
    store = LmdbStore(tmp_path / "state")
    last = StreamWorker(PLAN, log, store, "state")
    drain(last)
    last.close()
    assert_counted(store, events)
    ends = {offset_name(SHOWN, p): log.end("interactions", p) for p in range(3)}
    assert {name: store.offset(name) or 0 for name in ends} == ends


def test_residuals_are_refused_with_the_features_name(tmp_path: Path) -> None:
    """What a stream cannot keep is refused when a worker is made, by name."""
    user, item = Entity("user", "user_id"), Entity("item", "item_id")
    declared = system("s", label=SHOWN.click, rank=item, for_=user)
    declared.features(above=SHOWN.mean(SHOWN.dwell_time - SHOWN.mean("dwell_time").by(item).smooth(3, 2)).by(user))
    with pytest.raises(UserError, match="'above'"):
        StreamWorker(plan_of(declared), EmbeddedLog(Home(tmp_path)), LmdbStore(tmp_path / "s"), "g")


def _started(root: Path, most: int) -> subprocess.Popen[str]:
    command = [sys.executable, counting_worker.__file__, str(root), "1.0", str(most)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


class Refusing(LmdbStore):
    """A store whose disk is full."""

    def apply(self, *_: Any, **__: Any) -> bool:
        """Change nothing."""
        raise OritaError("full")


def test_what_was_not_counted_is_not_committed(tmp_path: Path) -> None:
    """A worker that leaves after a failed step tells nobody that it counted what it took."""
    log, store = EmbeddedLog(Home(tmp_path)), Refusing(tmp_path / "state")
    append(log, made(20), partitions=1)
    worker = StreamWorker(PLAN, log, store, "g")
    with pytest.raises(OritaError, match="full"):
        drain(worker)
    worker.close()
    assert log.committed("g", "interactions", 0) is None
    store.close()
    again = StreamWorker(PLAN, log, LmdbStore(tmp_path / "state"), "g")
    assert drain(again)["counted"] == 20
    again.close()
    assert log.committed("g", "interactions", 0) == 20
