"""Both queues keep the contract, and a check that none of them could fail would be worth nothing."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.features.stores.redis_process import RedisProcess

from orita.core.clock import ManualClock
from orita.core.errors import Unavailable, UserError
from orita.core.ids import uuid7
from orita.features.stores.redis_server import RedisConfig
from orita.serving.jobs.embedded import EmbeddedQueue
from orita.serving.jobs.queue import Job, Lease, NewJob, QueueBounds, QueueSize
from orita.serving.jobs.redis import RedisQueue
from orita.testing import check_job_queue

BOUNDS = QueueBounds(most_open=10, most_bytes=1 << 20, keep_seconds=60, lease_seconds=10, attempts=3, calls=3)


def new_job(**given: Any) -> NewJob:
    """Return a job of one request."""
    return NewJob(uuid7(), b'[{"user_id": 1, "item_ids": [2]}]', 1, b"digest", **given)


def test_the_embedded_queue_keeps_the_contract(tmp_path: Path) -> None:
    """The file is as `check_job_queue` demands."""
    clock = ManualClock()
    path = tmp_path / "jobs" / "feed.db"

    def wait(seconds: float) -> None:
        clock.advance(timedelta(seconds=seconds))

    check_job_queue(lambda bounds: EmbeddedQueue(path, bounds, clock), wait)


def test_the_queue_in_redis_keeps_the_contract(jobs_redis: RedisProcess) -> None:
    """The queue in Redis is as `check_job_queue` demands, by the server's own clock."""
    config = jobs_redis.config

    def make(bounds: QueueBounds) -> RedisQueue:
        return RedisQueue(config, bounds, tenant="default", system="contract")

    check_job_queue(make, time.sleep, slower=3)


class _Unfenced(EmbeddedQueue):
    """Lets every worker end its job."""

    def finish(self, lease: Lease, state: Any, content: bytes, /) -> bool:
        """End a job, whoever asks."""
        self._file.write(lambda connection: self._end(connection, lease.job, state, content))
        return True


class _Generous(EmbeddedQueue):
    """Lends what is lent."""

    def _lease_end(self) -> int:
        return self._now()


class _Keyless(EmbeddedQueue):
    """Takes no notice of keys."""

    def submit(self, new: NewJob, /) -> Job:
        """Take in each job."""
        return super().submit(replace(new, key=None))


class _Traceless(EmbeddedQueue):
    """Keeps no traces."""

    def submit(self, new: NewJob, /) -> Job:
        """Take in a job, and not where it came from."""
        return super().submit(replace(new, trace=""))


class _Boundless(EmbeddedQueue):
    """Takes in as many as come."""

    def _make_room(self, connection: Any, size: int) -> None:
        """Do nothing."""


class _Stubborn(EmbeddedQueue):
    """Begins a job for ever."""

    def _give_up(self, connection: Any, job: str, stage: Any) -> None:
        connection.execute("UPDATE jobs SET due = due + 1000000, leased = 0 WHERE id = ?", (job,))


@pytest.mark.parametrize("broken", [_Unfenced, _Generous, _Keyless, _Traceless, _Boundless, _Stubborn])
def test_the_check_catches_queues_that_do_not(broken: type[EmbeddedQueue], tmp_path: Path) -> None:
    """A queue that breaks a promise fails the check."""
    clock = ManualClock()

    def wait(seconds: float) -> None:
        clock.advance(timedelta(seconds=seconds))

    with pytest.raises(AssertionError):
        check_job_queue(lambda bounds: broken(tmp_path / "feed.db", bounds, clock), wait)


def test_looking_makes_no_file(tmp_path: Path) -> None:
    """A queue that never had a job leaves nothing in the home."""
    queue = EmbeddedQueue(tmp_path / "jobs" / "feed.db", BOUNDS, ManualClock())
    assert queue.find("x") is None
    assert queue.take("answer") is None
    assert queue.cancel("x") is None
    assert queue.latest(5) == []
    assert queue.forget() == 0
    assert queue.size() == QueueSize(0, 0, 0, 0, 0.0)
    queue.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_before_there_were_traces_is_used(tmp_path: Path) -> None:
    """What waits in it is done, and jobs that come now keep their trace."""
    path, clock = tmp_path / "feed.db", ManualClock()
    before = EmbeddedQueue(path, BOUNDS, clock)
    old = before.submit(new_job()).id
    before.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE traces")
        connection.commit()
    clock.advance(timedelta(seconds=1))
    queue = EmbeddedQueue(path, BOUNDS, clock)
    new = queue.submit(new_job(trace="00-a-b-01")).id
    first, second = queue.take("answer"), queue.take("answer")
    assert first is not None
    assert second is not None
    assert [(lease.job, lease.trace) for lease in (first, second)] == [(old, ""), (new, "00-a-b-01")]
    assert queue.finish(second, "succeeded", b"[]")
    clock.advance(timedelta(seconds=BOUNDS.keep_seconds))
    assert queue.forget() == 1
    queue.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM traces").fetchone() == (0,)


def test_a_file_that_cannot_be_is_told_of(tmp_path: Path) -> None:
    """What SQLite cannot use is `Unavailable`, with the file's name, and whole jobs only are taken in."""
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    with pytest.raises(Unavailable, match=r"feed\.db"):
        EmbeddedQueue(blocked / "feed.db", BOUNDS, ManualClock()).submit(new_job())
    path = tmp_path / "feed.db"
    path.write_text("this is no database, and it is long enough to be taken for one" * 100)
    with pytest.raises(Unavailable, match="not a database"):
        EmbeddedQueue(path, BOUNDS, ManualClock()).find("x")


def test_redis_forgets_every_key_of_a_job(jobs_redis: RedisProcess) -> None:
    """What is kept of forgotten jobs is nothing."""
    config = jobs_redis.config.model_copy(update={"prefix": "forgets"})
    bounds = QueueBounds(most_open=10, most_bytes=1 << 20, keep_seconds=0.05, lease_seconds=10, attempts=3, calls=3)
    queue = RedisQueue(config, bounds, tenant="default", system="feed")
    queue.submit(new_job(key="k", callback_url="https://hooks.example.org/"))
    cancelled = queue.submit(new_job())
    queue.cancel(cancelled.id)
    lease = queue.take("answer")
    assert lease is not None
    assert queue.finish(lease, "succeeded", b"[]")
    call = queue.take("callback")
    assert call is not None
    assert queue.settle(call, "delivered")
    time.sleep(0.1)
    assert queue.forget() == 2
    assert queue.size() == QueueSize(0, 0, 0, 0, 0.0)
    queue.close()
    left = jobs_redis.server.read("KEYS", "{forgets:*")
    assert [key.rpartition(b":jobs")[2] for key in left] == [b":bytes"]


def test_redis_that_goes_away_is_told_of_and_keeps_what_it_took(tmp_path: Path) -> None:
    """While it is down every call is `Unavailable`; after a kill -9 each acknowledged job is there."""
    process = RedisProcess(tmp_path)
    try:
        queue = RedisQueue(process.config, BOUNDS, tenant="default", system="feed")
        jobs = [queue.submit(new_job()).id for _ in range(5)]
        process.kill()
        with pytest.raises(Unavailable, match="Redis"):
            queue.submit(new_job())
        with pytest.raises(Unavailable, match="Redis"):
            queue.take("answer")
        process.start()
        assert sorted(job.id for job in queue.latest(10)) == sorted(jobs)
        assert queue.take("answer") is not None
        queue.close()
    finally:
        process.kill()


def test_a_name_that_redis_cannot_have_is_refused() -> None:
    """What is wrong in the configuration is a sentence when the queue is opened."""
    with pytest.raises(UserError, match="system is 'a b'"):
        RedisQueue(RedisConfig(), BOUNDS, tenant="default", system="a b")
