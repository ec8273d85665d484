"""A worker between other work, and where its lease, its queue or its server goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from orita.core.clock import ManualClock, SystemClock
from orita.core.errors import Unavailable
from orita.core.ids import uuid7
from orita.serving.config import ServingConfig
from orita.serving.http.refusal import Refused
from orita.serving.jobs.config import JobsConfig
from orita.serving.jobs.counts import JobCounts
from orita.serving.jobs.embedded import EmbeddedQueue
from orita.serving.jobs.pace import Pace
from orita.serving.jobs.queue import JobQueue, NewJob, QueueBounds
from orita.serving.jobs.threads import QueueThreads
from orita.serving.jobs.worker import JobWorker
from orita.serving.predict.predictor import PredictAnswer
from orita.serving.predict.requests import Asked, RequestDecoder

CONFIG = JobsConfig(poll_seconds=0.005, lease_seconds=10, attempts=3, share=1.0)
BOUNDS = QueueBounds(most_open=100, most_bytes=1 << 20, keep_seconds=1e6, lease_seconds=10, attempts=3, calls=3)


class Answers:
    """Answers with a word; does something of the test's before."""

    def __init__(self, before: Callable[[int], None] = lambda number: None) -> None:
        self.asked = 0
        self._before = before

    def answer(self, asked: Asked, request_id: str, started: float, *, last: bool) -> PredictAnswer:
        """Return an answer without items."""
        self.asked += 1
        self._before(self.asked)
        return PredictAnswer(asked.user_id, [], request_id.rpartition(":")[2], 0.0, 1)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()


@pytest.fixture
def queue(tmp_path: Path, clock: ManualClock) -> Any:
    """An empty queue."""
    opened = EmbeddedQueue(tmp_path / "feed.db", BOUNDS, clock)
    yield opened
    opened.close()


def taken_in(queue: EmbeddedQueue, count: int) -> str:
    """Take in a job of *count* requests."""
    requests = msgspec.json.encode([{"user_id": number, "item_ids": [1]} for number in range(count)])
    return queue.submit(NewJob(uuid7(), requests, count, b"")).id


def worker(
    queue: JobQueue,
    answers: Answers,
    clock: Any,
    ready: Callable[[], bool] = lambda: True,
    counts: JobCounts | None = None,
) -> JobWorker:
    """Return a worker of the queue."""
    decode, counts = RequestDecoder(ServingConfig()), counts or JobCounts(clock)
    return JobWorker(queue, QueueThreads(), answers, decode, ready, lambda: None, CONFIG, clock, counts)


def counted(counts: JobCounts) -> dict[tuple[str, ...], float]:
    """Return the samples by name and the values of their labels."""
    return {(s.name, *s.labels.values()): s.value for metric in counts.metrics() for s in metric.samples}


def done(queue: JobQueue, working: JobWorker, *jobs: str) -> None:
    """Let a worker work until *jobs* have ended."""

    async def work() -> None:
        task = asyncio.create_task(working.run())
        while any((found := queue.find(job)) is None or found.ended_micros is None for job in jobs):
            assert not task.done()
            await asyncio.sleep(0.002)
        working.stop()
        await task

    asyncio.run(asyncio.wait_for(work(), 20))


def test_a_long_job_keeps_its_lease(queue: EmbeddedQueue, clock: ManualClock) -> None:
    """A job that takes longer than a lease is renewed between its requests, and nobody else gets it."""
    other: list[object] = []

    def before(_: int) -> None:
        clock.advance(timedelta(seconds=4))
        other.append(queue.take("answer"))

    job = taken_in(queue, 10)
    done(queue, worker(queue, Answers(before), clock), job)
    found = queue.find(job)
    assert found is not None
    assert (found.state, found.attempts, other) == ("succeeded", 1, [None] * 10)


def test_a_worker_whose_job_was_taken_over_writes_nothing(queue: EmbeddedQueue, clock: ManualClock) -> None:
    """Where another worker has the job, this one stops at the next request; the result is the other's."""

    def before(number: int) -> None:
        if number == 2:
            clock.advance(timedelta(seconds=11))
            lease = queue.take("answer")
            assert lease is not None
            assert queue.finish(lease, "succeeded", b'["the other"]')

    answers, counts = Answers(before), JobCounts(clock)
    job = taken_in(queue, 10)
    with capture_logs() as logs:
        done(queue, worker(queue, answers, clock, counts=counts), job, taken_in(queue, 1))
    found = queue.find(job)
    assert found is not None
    assert (found.content, found.attempts) == (b'["the other"]', 2)
    assert answers.asked == 3, "the worker went on though its lease was another's"
    assert [entry["event"] for entry in logs] == ["job_taken_over"]
    found_counts = counted(counts)
    assert (found_counts["job_leases_lost_total",], found_counts["jobs_ended_total", "succeeded"]) == (1, 1)


def test_a_worker_that_stops_gives_its_job_back(queue: EmbeddedQueue, clock: ManualClock) -> None:
    """An orderly stop in the middle costs no attempt, and the job is there for the next worker at once."""
    job = taken_in(queue, 10)
    stopped = worker(queue, Answers(lambda number: stopped.stop() if number == 3 else None), clock)
    asyncio.run(asyncio.wait_for(stopped.run(), 20))
    left = queue.find(job)
    assert left is not None
    assert (left.state, left.attempts) == ("queued", 0)
    again = Answers()
    done(queue, worker(queue, again, clock), job)
    assert again.asked == 10


def test_requests_of_others_come_between(queue: EmbeddedQueue, clock: ManualClock) -> None:
    """Between two requests of a job the event loop has its turn."""
    turns = [0]
    seen: list[int] = []
    job = taken_in(queue, 50)
    working = worker(queue, Answers(lambda _: seen.append(turns[0])), clock)

    async def work() -> None:
        task = asyncio.create_task(working.run())
        while len(seen) < 50:
            turns[0] += 1
            await asyncio.sleep(0)
        working.stop()
        await task

    asyncio.run(asyncio.wait_for(work(), 20))
    assert len(set(seen)) == 50
    assert queue.find(job) is not None


def test_jobs_rest_only_while_others_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a turn of the loop that had other work, a worker rests so long that its share is kept; else not at all."""
    slept: list[float] = []
    times = iter([0.0, 0.0, 1.0, 1.005])

    class Scripted(SystemClock):
        def monotonic(self) -> float:
            return next(times)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)
    pace = Pace(0.25, Scripted())
    for took in (0.004, 0.004):
        with pytest.raises(StopIteration):
            pace.turn(took).send(None)
    assert slept == [0, 0, 0.012]


class Away(EmbeddedQueue):
    """A queue that fails as often as it is told."""

    failures: dict[str, int]

    def take(self, stage: Any, /) -> Any:
        """Fail, or lend."""
        self._fail("take")
        return super().take(stage)

    def finish(self, lease: Any, state: Any, content: bytes, /) -> bool:
        """Fail, or end a job."""
        self._fail("finish")
        return super().finish(lease, state, content)

    def _fail(self, call: str) -> None:
        if self.failures.get(call, 0):
            self.failures[call] -= 1
            raise Unavailable("the queue of jobs cannot be used.")


def test_a_queue_that_is_away_for_a_while(tmp_path: Path, clock: ManualClock) -> None:
    """It is told of once; work whose end could not be written is not done again, the end is written later."""
    queue = Away(tmp_path / "feed.db", BOUNDS, clock)
    queue.failures = {"take": 3, "finish": 3}
    answers = Answers()
    with capture_logs() as logs:
        done(queue, worker(queue, answers, clock), taken_in(queue, 2))
    assert [(entry["event"], entry["alert"]) for entry in logs] == [("jobs_unavailable", True)]
    assert answers.asked == 2
    queue.close()


@pytest.mark.parametrize(
    ("error", "state", "attempts", "code"),
    [
        (Refused(422, "invalid_value", "no."), "failed", 1, "invalid_value"),
        (Refused(503, "log_full", "later."), "failed", 3, "log_full"),
        (RuntimeError("secret of the machine"), "failed", 3, "internal_error"),
    ],
)
def test_errors_end_a_job_at_once_or_after_all_attempts(
    queue: EmbeddedQueue, clock: ManualClock, error: Exception, state: str, attempts: int, code: str
) -> None:
    """What the caller must mend fails at once, what may pass is tried again; causes are the log's to know."""

    def before(_: int) -> None:
        clock.advance(timedelta(seconds=100))  # no pause is longer
        raise error

    class Waiting(Answers):
        def answer(self, asked: Asked, request_id: str, started: float, *, last: bool) -> PredictAnswer:
            assert last == (self.asked == 2), "the predictor is not told which attempt is the last"
            return super().answer(asked, request_id, started, last=last)

    job = taken_in(queue, 1)
    answers = Waiting(before)

    def ready() -> bool:
        clock.advance(timedelta(seconds=100))
        return True

    counts = JobCounts(clock)
    with capture_logs():
        done(queue, worker(queue, answers, clock, ready, counts), job)
    found = queue.find(job)
    told = counted(counts)
    assert (told["jobs_ended_total", "failed"], told["jobs_put_off_total",]) == (1, attempts - 1)
    assert told["job_latency_count",] == 1
    assert found is not None
    assert (found.state, found.attempts, answers.asked) == (state, attempts, attempts)
    assert code.encode() in found.content
    assert b"secret" not in found.content
