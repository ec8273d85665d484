"""A server of Redis that is killed, or away, under a stream: it waits, goes on, and counts every event once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from structlog.testing import capture_logs
from tests.features.stores.redis_process import RedisProcess
from tests.features.stream.counting_worker import SHOWN, counting_system
from tests.features.stream.test_stream_worker import PLAN, append, assert_counted, made

from orita.core.home import Home
from orita.events.arriving import event_table
from orita.events.log.embedded import EmbeddedLog
from orita.features.generations.opening import OnlineConfig
from orita.features.generations.publish import publish
from orita.features.stores.store import StoreAway
from orita.features.stream.intake import offset_name
from orita.pipelines.feature_stream import Streamed, stream_features
from orita.pipelines.workspace import Workspace


@pytest.fixture
def process(tmp_path: Path) -> Iterator[RedisProcess]:
    """A server of the test's own, to be killed."""
    folder = tmp_path / "redis"
    folder.mkdir()
    process = RedisProcess(folder)
    yield process
    process.kill()


@pytest.fixture
def workspace(tmp_path: Path, process: RedisProcess) -> Workspace:
    """A system whose online features are in Redis, published without any event."""
    online = OnlineConfig(store="redis", redis=process.config)
    workspace = Workspace(Home(tmp_path / "home"), counting_system(), online=online)
    with closing(workspace.generations()) as generations, duckdb.connect() as connection:
        connection.register("none", event_table(SHOWN.schema, made(1)).slice(0, 0))
        publish(PLAN, connection, {"interactions": "none"}, generations, tables={})
    return workspace


class Streaming:
    """A stream in a thread; what it says last, and how it is stopped."""

    def __init__(self, workspace: Workspace, pool: ThreadPoolExecutor) -> None:
        self.done, self.stopped = Streamed(), threading.Event()
        self.result: Future[Streamed] = pool.submit(stream_features, workspace, until=self._ended, into_lake=False)

    def _ended(self, done: Streamed) -> bool:
        self.done = done
        return self.stopped.is_set()

    def wait(self, wanted: str, seconds: float = 60) -> None:
        """Wait until it says *wanted*: ``away``, ``counting`` or ``drained``."""
        deadline = time.monotonic() + seconds
        while not {
            "away": bool(self.done.away),
            "counting": bool(self.done.generation) and not self.done.away,
            "drained": bool(self.done.generation) and not self.done.away and not self.done.waiting,
        }[wanted]:
            assert not self.result.done(), self.result.result()
            assert time.monotonic() < deadline, self.done
            time.sleep(0.005)


def assert_all_counted(workspace: Workspace, log: EmbeddedLog, events: list[dict[str, object]]) -> None:
    """Assert that state and offsets are those of *events*, each once."""
    with closing(workspace.generations()) as generations:
        current = generations.current()
        assert current is not None
        with closing(generations.reading(current.name)) as store:
            assert_counted(store, events)
            ends = {offset_name(SHOWN, p): log.end("interactions", p) for p in range(3)}
            assert {name: store.offset(name) or 0 for name in ends} == ends


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_server_under_a_stream_counts_every_event_once(
    kills: int, workspace: Workspace, process: RedisProcess
) -> None:
    """After kill -9 of the server at any moment the stream goes on by itself, and every count is exact."""
    draw, log = random.Random(kills), EmbeddedLog(workspace.home)
    events = made(400 * (kills + 1), seed=kills)
    append(log, events[:400])
    with ThreadPoolExecutor(1) as pool:
        stream = Streaming(workspace, pool)
        try:
            for first in range(400, len(events), 400):
                stream.wait("counting")
                for part in range(first, first + 400, 20):  # many small steps, of which one is cut off
                    append(log, events[part : part + 20])
                time.sleep(draw.random() * 0.1)
                process.kill()
                process.start()
            stream.wait("counting")
            append(log, events[-1:])  # once more: a repetition
            stream.wait("drained")
        finally:
            stream.stopped.set()
        assert stream.result.result().away == ""
    assert_all_counted(workspace, log, events)


def test_a_stream_waits_for_a_server_that_is_away(workspace: Workspace, process: RedisProcess) -> None:
    """It says once why it waits, ends when it is told to, and goes on by itself when the server is back."""
    log, events = EmbeddedLog(workspace.home), made(60)
    append(log, events[:30])
    with capture_logs() as told, ThreadPoolExecutor(1) as pool:
        stream = Streaming(workspace, pool)
        try:
            stream.wait("drained")
            process.kill()
            stream.wait("away")
            assert process.config.url in stream.done.away and "start it" in stream.done.away
            append(log, events[30:])
            time.sleep(0.5)  # long enough for several tries
            process.start()
            stream.wait("drained")
            assert stream.done.counted == 60
            process.kill()
            stream.wait("away")
        finally:
            stream.stopped.set()
        assert "is away" in stream.result.result(10).away
    waits, goes_on = "features_stream_waits", "features_stream_goes_on"
    assert [entry["event"] for entry in told] == [waits, goes_on, waits]
    assert told[0]["alert"] and process.config.url in told[0]["error"]
    process.start()
    assert_all_counted(workspace, log, events)


def test_a_stream_does_not_begin_without_its_server(workspace: Workspace, process: RedisProcess) -> None:
    """Away from the beginning, or under a run that is to end by itself, it is one sentence at once."""
    append(EmbeddedLog(workspace.home), made(10))
    assert stream_features(workspace, until=lambda _: False, once=True, into_lake=False).counted == 10
    process.kill()
    for once in (True, False):
        with pytest.raises(StoreAway, match=f"{process.config.url} is away"):
            stream_features(workspace, until=lambda _: False, once=once, into_lake=False)
    process.start()
