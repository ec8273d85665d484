"""Whatever workers do and however slow they are, a job ends once, by the latest of its leases."""

from __future__ import annotations

import tempfile
import threading
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from tests.features.stores.redis_process import RedisProcess

from orita.core.clock import ManualClock, SystemClock
from orita.core.ids import uuid7
from orita.serving.jobs.embedded import EmbeddedQueue
from orita.serving.jobs.queue import JobQueue, Lease, NewJob, QueueBounds
from orita.serving.jobs.redis import RedisQueue

BOUNDS = QueueBounds(most_open=1000, most_bytes=1 << 24, keep_seconds=1e6, lease_seconds=10, attempts=4, calls=4)


class Workers(RuleBasedStateMachine):
    """Workers that take, forget, come back and write whenever they like, against a model of what may be."""

    jobs: Bundle[str] = Bundle("jobs")
    leases: Bundle[Lease] = Bundle("leases")

    @initialize()
    def start(self) -> None:
        """Open a queue by two processes."""
        self.folder = tempfile.TemporaryDirectory(prefix="jobs-")
        self.clock = ManualClock()
        path = Path(self.folder.name) / "feed.db"
        self.queues = [EmbeddedQueue(path, BOUNDS, self.clock) for _ in range(2)]
        self.latest: dict[str, int] = {}
        self.held: dict[str, Lease | None] = {}
        self.ended: dict[str, tuple[str, bytes]] = {}

    def teardown(self) -> None:
        """Close all."""
        for queue in self.queues:
            queue.close()
        self.folder.cleanup()

    @rule(target=jobs, process=st.integers(0, 1))
    def submit(self, process: int) -> str:
        """Take in a job."""
        job = self.queues[process].submit(NewJob(uuid7(), b"[]", 0, b"")).id
        self.latest[job], self.held[job] = 0, None
        return job

    @rule(target=leases, process=st.integers(0, 1))
    def take(self, process: int) -> Any:
        """Take what is due; its token is higher than any before, and what has ended is not lent."""
        lease = self.queues[process].take("answer")
        self._given_up()
        if lease is None:
            return multiple()
        assert lease.job not in self.ended
        assert lease.token > self.latest[lease.job]
        assert lease.attempt <= BOUNDS.attempts
        self.latest[lease.job], self.held[lease.job] = lease.token, lease
        return lease

    @rule(seconds=st.sampled_from([1.0, 6.0, 11.0]))
    def wait(self, seconds: float) -> None:
        """Let leases run out, or nearly."""
        self.clock.advance(timedelta(seconds=seconds))

    @rule(lease=leases, process=st.integers(0, 1))
    def renew(self, lease: Lease, process: int) -> None:
        """Only the latest lease is renewed."""
        assert self.queues[process].renew(lease) == (self.held[lease.job] == lease)

    @rule(lease=leases, process=st.integers(0, 1), state=st.sampled_from(["succeeded", "failed"]))
    def finish(self, lease: Lease, process: int, state: Any) -> None:
        """Only the latest lease ends its job, and once."""
        content = b'{"code": "%d", "message": ""}' % lease.token
        done = self.queues[process].finish(lease, state, content)
        assert done == (self.held[lease.job] == lease)
        if done:
            self.held[lease.job] = None
            self.ended[lease.job] = (state, content)

    @rule(lease=consumes(leases), seconds=st.sampled_from([0.0, 5.0]), counted=st.booleans())
    def give_back(self, lease: Lease, seconds: float, counted: bool) -> None:
        """Only the latest lease gives its job back."""
        done = self.queues[0].give_back(lease, seconds, counted=counted)
        assert done == (self.held[lease.job] == lease)
        if done:
            self.held[lease.job] = None

    @rule(job=jobs)
    def cancel(self, job: str) -> None:
        """What is cancelled has no lease."""
        found = self.queues[1].cancel(job)
        assert found is not None
        if found.state == "cancelled" and job not in self.ended:
            assert self.held[job] is None
            self.ended[job] = ("cancelled", b"")

    @invariant()
    def an_end_is_for_ever(self) -> None:
        """A job that has ended says the same to everybody from then on."""
        for job, end in getattr(self, "ended", {}).items():
            for queue in self.queues:
                found = queue.find(job)
                assert found is not None
                assert (found.state, found.content) == end

    def _given_up(self) -> None:
        """Note which jobs ended while something was taken: those whose attempts were all lost."""
        for job, lease in self.held.items():
            found = self.queues[0].find(job)
            assert found is not None
            if found.state == "failed" and job not in self.ended:
                assert b"worker_lost" in found.content
                assert lease is None or lease.attempt == BOUNDS.attempts or found.attempts == BOUNDS.attempts
                self.held[job] = None
                self.ended[job] = ("failed", found.content)


TestWorkers = Workers.TestCase
TestWorkers.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


def _raced(make: Any, jobs: int, workers: int) -> None:
    """Let workers whose leases run out at once take and end jobs; check that each ended once, by its last lease."""
    queue: JobQueue = make()
    names = {queue.submit(NewJob(uuid7(), b"[]", 0, b"")).id for _ in range(jobs)}
    ends: list[Lease] = []
    stale = [0] * workers

    def work(number: int) -> None:
        random, own = Random(number), make()
        pause = threading.Event()
        while len(ends) < jobs:
            lease = own.take("answer")
            if lease is None:
                pause.wait(0.002)
                continue
            pause.wait(random.choice((0.0, 0.0, 0.03)))
            if own.finish(lease, "succeeded", b"[%d]" % lease.token):
                ends.append(lease)
            else:
                stale[number] += 1
        own.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ends) == jobs
    assert {lease.job for lease in ends} == names, "a job ended twice"
    for lease in ends:
        found = queue.find(lease.job)
        assert found is not None
        assert found.content == b"[%d]" % lease.token, "the result is not that of the lease that ended the job"
    assert sum(stale) > 0, "no lease was ever taken over: the race was none"
    queue.close()


RACE = QueueBounds(most_open=1000, most_bytes=1 << 24, keep_seconds=1e6, lease_seconds=0.01, attempts=100, calls=1)


def test_two_workers_never_both_end_a_job(tmp_path: Path) -> None:
    """Six workers, each with its own connection, whose leases run out while they work: one end a job."""
    _raced(lambda: EmbeddedQueue(tmp_path / "feed.db", RACE, SystemClock()), jobs=60, workers=6)


def test_two_workers_never_both_end_a_job_in_redis(jobs_redis: RedisProcess) -> None:
    """The same in Redis."""
    config = jobs_redis.config
    _raced(lambda: RedisQueue(config, RACE, tenant="default", system="race"), jobs=60, workers=6)


@pytest.mark.slow
def test_two_workers_never_both_end_one_of_many_jobs(tmp_path: Path) -> None:
    """The same for longer."""
    _raced(lambda: EmbeddedQueue(tmp_path / "feed.db", RACE, SystemClock()), jobs=900, workers=16)
