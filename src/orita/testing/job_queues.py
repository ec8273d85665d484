"""Checks that every `JobQueue` must pass, yours too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from orita.core.ids import uuid7
from orita.serving.jobs.queue import JobQueue, KeyReused, Lease, NewJob, QueueBounds, QueueFull, Stage

__all__ = ["check_job_queue"]

_REQUESTS = b'[{"user_id": 1, "item_ids": [2]}]'
_BOUNDS = QueueBounds(most_open=40, most_bytes=1 << 20, keep_seconds=0.6, lease_seconds=0.6, attempts=2, calls=2)

Make = Callable[[QueueBounds], JobQueue]
Wait = Callable[[float], None]
Reopen = Callable[[], JobQueue]


def check_job_queue(make: Make, wait: Wait, *, slower: float = 1.0) -> None:
    """Take jobs in, lend, lose, end and forget them, and check all that the contract promises.

    What needs a server or a process that goes away is not in it.

    Args:
        make: opens a queue with these bounds. Called again, it opens the same one, as another process would.
        wait: lets so many seconds pass, by the queue's clock.
        slower: how many times 0.6 s a lease lasts. Where `wait` really waits, a machine that stands still for a
            sixth of a lease breaks the promises by itself.

    Raises:
        AssertionError: a promise is broken; the sentence says which.
    """
    bounds = replace(_BOUNDS, keep_seconds=_BOUNDS.keep_seconds * slower, lease_seconds=_BOUNDS.lease_seconds * slower)

    def reopen() -> JobQueue:
        return make(bounds)

    def wait_longer(seconds: float) -> None:
        wait(seconds * slower)

    queue = make(bounds)
    try:
        for check in _CHECKS:
            check(queue, reopen, wait_longer)
            _emptied(queue, wait_longer)
    finally:
        queue.close()


def _new(key: str | None = None, url: str | None = None, requests: bytes = _REQUESTS, trace: str = "") -> NewJob:
    return NewJob(uuid7(), requests, 1, requests[:32], key, url, trace)


def _taken(queue: JobQueue, stage: Stage = "answer") -> Lease:
    lease = queue.take(stage)
    assert lease is not None, f"a job that is due in the stage {stage!r} is not lent"
    return lease


def _emptied(queue: JobQueue, wait: Wait) -> None:
    for job in queue.latest(1000):
        queue.cancel(job.id)
    if queue.size().open:
        wait(_BOUNDS.lease_seconds + 0.05)
    while (lease := queue.take("answer")) is not None:
        assert queue.finish(lease, "failed", b"{}"), "a lease that was just taken is refused"
    while (lease := queue.take("callback")) is not None:
        assert queue.settle(lease, "failed"), "a lease that was just taken is refused"
    assert queue.size().open == 0, "jobs that ended are counted as open"


def _a_job_goes_its_way(queue: JobQueue, reopen: Reopen, wait: Wait) -> None:
    new = _new()
    taken_in = queue.submit(new)
    assert (taken_in.id, taken_in.state, taken_in.count, taken_in.content) == (new.id, "queued", 1, b"")
    lease = _taken(queue)
    assert (lease.job, lease.stage, lease.attempt, lease.requests) == (new.id, "answer", 1, _REQUESTS)
    assert queue.take("answer") is None, "a job is lent twice at once"
    other = reopen()
    try:
        assert other.take("answer") is None, "a job is lent to two processes at once"
        running = other.find(new.id)
        assert running is not None, "another process does not see the job"
        assert (running.state, running.ended_micros) == ("running", None)
    finally:
        other.close()
    assert queue.finish(lease, "succeeded", b"[1]"), "the one lease cannot end its job"
    ended = queue.find(new.id)
    assert ended is not None
    assert (ended.state, ended.content, ended.attempts, ended.callback) == ("succeeded", b"[1]", 1, None)
    assert ended.ended_micros is not None
    assert ended.ended_micros >= ended.submitted_micros, "a job ended before it was taken in"
    assert not queue.finish(lease, "failed", b"{}"), "a job ended twice"
    assert not queue.renew(lease) and not queue.give_back(lease, 0.0), "a lease outlives its job"
    assert queue.find(new.id) == ended, "a job that ended has changed"
    assert queue.find(uuid7()) is None, "a job that never was is found"
    assert queue.cancel(uuid7()) is None, "a job that never was is cancelled"


def _a_job_keeps_its_trace(queue: JobQueue, reopen: Reopen, wait: Wait) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 vendor=a b"
    queue.submit(_new(url="https://hooks.example.org/", trace=trace))
    lease = _taken(queue)
    assert lease.trace == trace, "the worker of a job is not told its trace"
    assert queue.finish(lease, "succeeded", b"[]")
    call = _taken(queue, "callback")
    assert call.trace == trace, "who calls back is not told the trace of the job"
    assert queue.settle(call, "delivered")
    queue.submit(_new())
    untraced = _taken(queue)
    assert untraced.trace == "", "a job without a trace has one"
    assert queue.finish(untraced, "failed", b"{}")


def _first_come_first_served(queue: JobQueue, reopen: Reopen, wait: Wait) -> None:
    jobs = []
    for _ in range(5):
        jobs.append(queue.submit(_new()).id)
        wait(0.002)
    assert [job.id for job in queue.latest(3)] == jobs[:1:-1], "the last jobs are not the first in the list"
    size = queue.size()
    assert (size.open, size.running) == (5, 0), f"jobs that wait are not counted as such: {size}"
    assert size.oldest_seconds >= 0.009, "the age of the oldest job is not told"
    leases = [_taken(queue) for _ in jobs]
    assert [lease.job for lease in leases] == jobs, "jobs are not lent in the order they came"
    assert (queue.size().open, queue.size().running) == (5, 5), "jobs that are lent are not counted as such"
    assert all(queue.finish(lease, "failed", b"{}") for lease in leases), "of several leases not all end their jobs"


def _a_lost_lease_is_lent_again(queue: JobQueue, reopen: Reopen, wait: Wait) -> None:
    queue.submit(_new())
    old = _taken(queue)
    wait(0.5)
    assert queue.renew(old), "a lease that runs cannot be renewed"
    wait(0.15)
    assert queue.take("answer") is None, "a renewed lease was taken away"
    wait(0.5)
    later = queue.submit(_new())
    new = _taken(queue)
    assert new.job == old.job != later.id, "a job whose worker was lost is not lent first"
    assert new.token > old.token, "the token does not rise"
    assert new.attempt == 2
    for refused in (queue.renew(old), queue.finish(old, "succeeded", b"[0]"), queue.give_back(old, 0.0)):
        assert not refused, "a worker whose lease was taken over may still write"
    assert queue.finish(new, "succeeded", b"[2]")
    found = queue.find(old.job)
    assert found is not None
    assert found.content == b"[2]", "the result is not the one of the last lease"


def _a_late_end_counts_while_nobody_took_over(queue: JobQueue, reopen: Reopen, wait: Wait) -> None:
    queue.submit(_new())
    lease = _taken(queue)
    wait(_BOUNDS.lease_seconds + 0.1)
    assert queue.finish(lease, "succeeded", b"[]"), "work is thrown away though nobody does it anew"
    assert queue.take("answer") is None


def _what_is_given_back_comes_again(queue: JobQueue, reopen: Reopen, wait: Wait) -> None:
    new = queue.submit(_new())
    lease = _taken(queue)
    assert queue.give_back(lease, 0.2)
    assert queue.take("answer") is None, "a job comes back before its time"
    waiting = queue.find(new.id)
    assert waiting is not None
    assert (waiting.state, waiting.attempts) == ("queued", 1)
    wait(0.25)
    again = _taken(queue)
    assert (again.attempt, again.requests) == (2, _REQUESTS)
    assert queue.give_back(again, 0.0, counted=False)
    uncounted = _taken(queue)
    assert uncounted.attempt == 2, "an orderly stop counts as an attempt"
    assert uncounted.token > again.token, "the token does not rise"
    assert queue.finish(uncounted, "failed", b"{}")


def _attempts_are_bounded(queue: JobQueue, reopen: Reopen, wait: Wait) -> None:
    new = queue.submit(_new(url="https://hooks.example.org/"))
    for attempt in range(1, _BOUNDS.attempts + 1):
        assert _taken(queue).attempt == attempt
        wait(_BOUNDS.lease_seconds + 0.05)
    assert queue.take("answer") is None, "a job is begun more often than allowed"
    failed = queue.find(new.id)
    assert failed is not None
    assert (failed.state, failed.callback) == ("failed", "pending")
    assert b"worker_lost" in failed.content
    for attempt in range(1, _BOUNDS.calls + 1):
        assert _taken(queue, "callback").attempt == attempt
        wait(_BOUNDS.lease_seconds + 0.05)
    assert queue.take("callback") is None
    told = queue.find(new.id)
    assert told is not None
    assert told.callback == "failed"


def _callbacks_are_settled_once(queue: JobQueue, reopen: Reopen, wait: Wait) -> None:
    new = queue.submit(_new(url="https://hooks.example.org/"))
    assert queue.take("callback") is None, "somebody is told of a job that has not ended"
    lease = _taken(queue)
    assert queue.finish(lease, "succeeded", b"[3]")
    call = _taken(queue, "callback")
    assert (call.job, call.stage, call.attempt, call.requests) == (new.id, "callback", 1, b"")
    assert call.token > lease.token, "the token does not rise"
    assert not queue.finish(call, "failed", b"{}"), "a callback changes the result"
    assert not queue.settle(lease, "delivered"), "the lease of the answer settles the callback"
    wait(_BOUNDS.keep_seconds + 0.1)
    queue.forget()
    assert queue.give_back(call, 0.0), "a job is forgotten before somebody was told of it"
    again = _taken(queue, "callback")
    assert not queue.settle(call, "failed"), "a caller whose lease was taken over may still write"
    assert queue.settle(again, "delivered")
    told = queue.find(new.id)
    assert told is not None
    assert (told.state, told.content, told.callback) == ("succeeded", b"[3]", "delivered")


def _only_what_waits_is_cancelled(queue: JobQueue, reopen: Reopen, wait: Wait) -> None:
    waiting = queue.submit(_new(url="https://hooks.example.org/"))
    cancelled = queue.cancel(waiting.id)
    assert cancelled is not None
    assert (cancelled.state, cancelled.callback) == ("cancelled", None)
    assert queue.take("answer") is None and queue.take("callback") is None, "a cancelled job is lent"
    running = queue.submit(_new())
    lease = _taken(queue)
    left = queue.cancel(running.id)
    assert left is not None
    assert left.state == "running", "a job that has begun is cancelled"
    assert queue.finish(lease, "succeeded", b"[]")
    ended = queue.cancel(running.id)
    assert ended is not None
    assert ended.state == "succeeded", "a job that ended is cancelled"


def _a_key_names_one_job(queue: JobQueue, reopen: Reopen, wait: Wait) -> None:
    first = queue.submit(_new("Ọ̀rìtà 1"))
    assert queue.submit(_new("Ọ̀rìtà 1")).id == first.id, "the same key and body are two jobs"
    assert queue.submit(_new("other")).id != first.id
    try:
        queue.submit(_new("Ọ̀rìtà 1", requests=b"[" + _REQUESTS + b"]"))
    except KeyReused as error:
        assert first.id in str(error)
    else:
        raise AssertionError("a key names jobs of two bodies")
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(queue.submit(_new("race")).id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1, "a key that comes eight times at once names several jobs"
    assert queue.size().open == 3


def _it_is_bounded(queue: JobQueue, reopen: Reopen, wait: Wait) -> None:
    for number in range(_BOUNDS.most_open):
        queue.submit(_new(f"key {number}"))
    _refused(queue, _new(), "more jobs are open than may be")
    assert queue.submit(_new("key 0")).state == "queued", "a key that is known is refused where there is no room"
    assert queue.finish(_taken(queue), "succeeded", b"[]")
    assert queue.submit(_new()).state == "queued", "there is no room where a job has ended"
    large = _new(requests=b" " * (_BOUNDS.most_bytes + 1))
    _refused(queue, large, "a job of more bytes than all may have is taken in")


def _ended_jobs_give_way(queue: JobQueue, reopen: Reopen, wait: Wait) -> None:
    third = b" " * (_BOUNDS.most_bytes // 3)
    ended = []
    for _ in range(2):
        ended.append(queue.submit(_new()).id)
        assert queue.finish(_taken(queue), "succeeded", third)
        wait(0.002)
    queue.submit(_new(requests=third))
    assert [queue.find(job) is None for job in ended] == [True, False], "it is not the oldest that gives way"
    assert queue.size().bytes <= _BOUNDS.most_bytes


def _old_jobs_are_forgotten(queue: JobQueue, reopen: Reopen, wait: Wait) -> None:
    waiting = queue.submit(_new())
    wait(_BOUNDS.keep_seconds + 0.05)
    queue.forget()
    size = queue.size()
    assert (size.open, size.ended) == (1, 0), f"what is forgotten is not what ended: {size}"
    assert queue.cancel(waiting.id) is not None, "a job that waits is forgotten"
    wait(_BOUNDS.keep_seconds + 0.05)
    assert queue.forget() == 1
    size = queue.size()
    assert (size.open, size.ended, size.bytes) == (0, 0, 0), f"what is forgotten is still counted: {size}"
    assert (size.running, size.oldest_seconds) == (0, 0.0), f"without a job there is an oldest one: {size}"


def _refused(queue: JobQueue, new: NewJob, sentence: str) -> None:
    try:
        queue.submit(new)
    except QueueFull:
        assert queue.find(new.id) is None, "a job that was refused is there"
    else:
        raise AssertionError(sentence)


def _many_workers_end_each_job_once(queue: JobQueue, reopen: Reopen, wait: Wait) -> None:
    jobs = [queue.submit(_new()).id for _ in range(30)]
    ended: list[str] = []

    def work() -> None:
        own = reopen()
        try:
            while (lease := own.take("answer")) is not None:
                if own.finish(lease, "succeeded", b"[%d]" % lease.token):
                    ended.append(lease.job)
        finally:
            own.close()

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(ended) == sorted(jobs), "workers at once end a job twice, or leave one"


_CHECKS = (
    _ended_jobs_give_way,
    _a_job_goes_its_way,
    _a_job_keeps_its_trace,
    _first_come_first_served,
    _a_lost_lease_is_lent_again,
    _a_late_end_counts_while_nobody_took_over,
    _what_is_given_back_comes_again,
    _attempts_are_bounded,
    _callbacks_are_settled_once,
    _only_what_waits_is_cancelled,
    _a_key_names_one_job,
    _it_is_bounded,
    _many_workers_end_each_job_once,
    _old_jobs_are_forgotten,
)
