"""Files, pushes, sinks, publications, restarts and retentions in any order: each known event counts once."""

from __future__ import annotations

import json
import random
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from tests.features.stream.test_held_events import PLAN, counts, expected, late
from tests.features.stream.test_stream_worker import START, Event, append

from orita import INTERACTION
from orita.core.clock import ManualClock, to_micros
from orita.core.home import Home
from orita.events.config import ValidationConfig
from orita.events.ingest import ingest
from orita.events.lake import Lake
from orita.events.log.embedded import EmbeddedLog
from orita.events.sink import sink
from orita.features.generations.folder import FolderGenerations
from orita.features.generations.publish import publish
from orita.features.stores.lmdb import LmdbStore
from orita.features.stream.worker import StreamWorker

TABLE = "interactions"
OPERATIONS = ["push", "push", "again", "file", "sink", "publish", "stream", "stream", "restart", "wait", "wait"]


class Schedule:
    """A home to which things happen, and what must be true of it.

    Attributes:
        counted: by id, the events that the state must hold once they are known.
        filed: by id, the events that came by a file, which only a publication counts.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self.draw, self.root, self.home = random.Random(seed), root, Home(root / "home")
        self.clock = ManualClock(START + timedelta(hours=3))
        self.log = EmbeddedLog(self.home, self.clock, segment_bytes=1)
        self.log.create(TABLE, 2)
        self.to_come = late(400)
        self.draw.shuffle(self.to_come)
        self.counted: dict[str, Event] = {}
        self.filed: dict[str, Event] = {}
        self.config = ValidationConfig(max_bad_share=1)
        self.store: LmdbStore | None = None
        self.worker: StreamWorker | None = None

    def push(self) -> None:
        """New events arrive."""
        events, self.to_come = self.to_come[:7], self.to_come[7:]
        append(self.log, events, partitions=2)
        self.counted |= {event["interaction_id"]: event for event in events}

    def again(self) -> None:
        """Events of before arrive, wherever they came from."""
        known = [*self.counted.values(), *self.filed.values()]
        events = self.draw.sample(known, min(5, len(known)))
        if events:
            append(self.log, events, partitions=2)
            self.counted |= {event["interaction_id"]: event for event in events}

    def file(self) -> None:
        """A file brings new events, and one of before."""
        events, self.to_come = [*self.to_come[:5], *list(self.counted.values())[-1:]], self.to_come[5:]
        path = self.root / f"{TABLE}.jsonl"
        path.write_text("".join(json.dumps(event, default=str) + "\n" for event in events))
        ingest(self.home, path, config=self.config, clock=self.clock)
        self.filed |= {event["interaction_id"]: event for event in events}

    def sink(self) -> None:
        """The lake takes what the log has."""
        sink(self.home, self.log, TABLE, INTERACTION, self.config, clock=self.clock)

    def publish(self) -> None:
        """The state is made anew from the lake; a stream goes on from there."""
        lake = Lake(self.home)
        if not lake.exists(TABLE):
            return
        self.end()
        snapshot = lake.snapshot(TABLE)
        offsets = {f"{TABLE}/{p}": at for p, at in lake.offsets(TABLE, snapshot.version).items()}
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            made = publish(
                PLAN, connection, {TABLE: snapshot.sql}, FolderGenerations(self.root / "online"),
                tables={TABLE: snapshot.version}, offsets=offsets, unique=True, at_once=11,
                known_by=to_micros(self.clock.now()),
            )  # fmt: skip
        self.store = LmdbStore(self.root / "online" / made.name)
        self.counted |= self.filed

    def stream(self) -> None:
        """A worker takes all there is; then the state is that of the events that are known."""
        if self.store is None:
            return
        self.worker = self.worker or StreamWorker(PLAN, self.log, self.store, "g", clock=self.clock, most_rows=10)
        for _ in range(200):
            self.worker.step()
            at = [self.store.offset(f"{TABLE}/{partition}") or 0 for partition in range(2)]
            if at == [self.log.end(TABLE, partition) for partition in range(2)]:
                break
        while self.worker.step().due:
            pass
        assert counts(self.store) == expected(list(self.counted.values()), to_micros(self.clock.now()))

    def restart(self) -> None:
        """The worker goes; the next one remembers."""
        if self.worker is not None:
            self.worker.close()
        self.worker = None

    def wait(self) -> None:
        """Time passes."""
        self.clock.advance(timedelta(minutes=self.draw.randrange(200)))

    def end(self) -> None:
        """Let go of the store."""
        self.restart()
        if self.store is not None:
            self.store.close()
        self.store = None


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 40))])
def test_each_known_event_counts_once_whatever_happens(seed: int, tmp_path: Path) -> None:
    """After any schedule the state is that of the events that are known, pushed or published, each once."""
    schedule = Schedule(tmp_path, seed)
    with closing(schedule.log):
        for operation in [*schedule.draw.choices(OPERATIONS, k=25), "publish", "again", "stream", "wait", "stream"]:
            getattr(schedule, operation)()
        schedule.clock.advance(timedelta(days=1))
        schedule.stream()
        schedule.end()
