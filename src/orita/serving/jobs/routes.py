"""``/api/v1/jobs``: predictions that are taken in now and answered soon."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orita.core.clock import Clock
from orita.core.errors import Unavailable
from orita.core.ids import uuid7
from orita.serving.http.body import read_body
from orita.serving.http.decoding import given_request_id
from orita.serving.http.envelope import Envelopes
from orita.serving.http.failure import failure
from orita.serving.http.refusal import Refused
from orita.serving.http.trace_context import current_trace
from orita.serving.jobs.counts import JobCounts
from orita.serving.jobs.queue import Job, JobQueue, KeyReused, NewJob, QueueFull
from orita.serving.jobs.requests import PREFIX, JobRequests, job_answer
from orita.serving.resilience.admitted import said_deadline
from orita.serving.resilience.breaker import BreakerOpen
from orita.serving.resilience.bulkhead import BulkheadFull
from orita.serving.resilience.guarded_threads import GuardedThreads
from orita.serving.resilience.parts import Parts

__all__ = ["JobRoutes"]

T = TypeVar("T")

_log = structlog.stdlib.get_logger("orita.serving")
_FULL_SECONDS, _AWAY_SECONDS, _BUSY_SECONDS = 5, 5, 1
_MESSAGES = {
    "queued": "waits to be answered: ask for it at its url.",
    "running": "is being answered: ask for it at its url.",
    "succeeded": "is answered.",
    "failed": "failed.",
    "cancelled": "is cancelled.",
}


class JobRoutes:
    """Takes jobs in, tells of them and cancels them.

    Args:
        queue: where they are kept.
        threads: where the queue is asked, behind its guard.
        requests: decodes them.
        max_body: longest body, in bytes.
        taken: called when a job was taken in.
        clock: the time.
        parts: say until when a caller waits.
        counts: where jobs are counted.
    """

    def __init__(
        self,
        queue: JobQueue,
        threads: GuardedThreads,
        requests: JobRequests,
        max_body: int,
        taken: Callable[[], None],
        clock: Clock,
        parts: Parts,
        counts: JobCounts,
    ) -> None:
        self._queue, self._threads, self._requests = queue, threads, requests
        self._max_body, self._taken, self._clock = max_body, taken, clock
        self._parts, self._counts = parts, counts
        self._envelopes = Envelopes(clock)

    @property
    def routes(self) -> list[Route]:
        """The routes, for a Starlette router."""
        return [
            Route(PREFIX, self._submit, methods=["POST"]),
            Route(f"{PREFIX}/{{job}}", self._find, methods=["GET"]),
            Route(f"{PREFIX}/{{job}}", self._cancel, methods=["DELETE"]),
        ]

    async def _submit(self, request: Request) -> Response:
        async def take_in(request_id: str) -> Response:
            body = await read_body(request.receive, request.headers.raw, self._max_body)
            if body is None:
                return Response(status_code=499)
            key, new = request.headers.get("idempotency-key"), uuid7(self._clock)
            trace = current_trace()
            kept = trace.kept if trace is not None else ""
            job = await self._asked(request, lambda: self._taken_in(self._requests.job(body, new, key, kept)))
            if isinstance(job, QueueFull):
                raise job
            if job.id == new:  # else the key named one that was here already
                self._counts.taken += 1
            self._taken()
            answer = self._told(job, request_id, 202)
            answer.headers["location"] = f"{PREFIX}/{job.id}"
            return answer

        return await self._answered(request, take_in)

    async def _find(self, request: Request) -> Response:
        async def find(request_id: str) -> Response:
            name = request.path_params["job"]
            return self._told(_known(await self._asked(request, lambda: self._queue.find(name)), name), request_id)

        return await self._answered(request, find)

    async def _cancel(self, request: Request) -> Response:
        async def cancel(request_id: str) -> Response:
            name = request.path_params["job"]
            before, after = await self._asked(request, lambda: (self._queue.find(name), self._queue.cancel(name)))
            job = _known(after, name)
            if job.state != "cancelled":
                message = f"job {job.id} is {job.state}: only a job that waits can be cancelled."
                raise Refused(409, "job_begun", message)
            if before is not None and before.state != "cancelled":
                self._counts.ended(job.id, "cancelled")
            return self._told(job, request_id)

        return await self._answered(request, cancel)

    async def _answered(self, request: Request, work: Callable[[str], Awaitable[Response]]) -> Response:
        """Return what *work* answers, or the refusal in its documented form."""
        request_id = uuid7(self._clock)
        try:
            request_id = given_request_id(request.headers.raw) or request_id
            return await self._done(work, request_id)
        except Refused as refused:
            return self._envelopes.refused(refused, request_id)

    def _taken_in(self, new: NewJob) -> Job | QueueFull:
        """Return the job; a queue that is full is well, and its breaker must not take this for a failure."""
        try:
            return self._queue.submit(new)
        except QueueFull as full:
            return full

    async def _asked(self, request: Request, call: Callable[[], T]) -> T:
        """Return what the queue answers to *call*, as long as its caller waits."""
        deadline = said_deadline(self._parts, request.headers.raw, self._clock.monotonic())
        return await self._threads.run(call, deadline)

    async def _done(self, work: Callable[[str], Awaitable[Response]], request_id: str) -> Response:
        try:
            return await work(request_id)
        except Refused:
            raise
        except KeyReused as error:
            raise Refused(422, "idempotency_key_reused", str(error)) from None
        except QueueFull as error:
            raise Refused(503, "queue_full", str(error), retry_after=_FULL_SECONDS) from None
        except BulkheadFull as error:
            raise Refused(503, "jobs_busy", str(error), retry_after=_BUSY_SECONDS) from None
        except BreakerOpen:
            raise _away() from None
        except Unavailable as error:  # a caller need not know where the queue is
            _log.error("jobs_unavailable", alert=True, request_id=request_id, error=str(error))
            raise _away() from None
        except Exception as error:  # the edge: the caller gets the documented form, the log the trace
            raise failure("job_failed", error, request_id=request_id) from None

    def _told(self, job: Job, request_id: str, status: int = 200) -> Response:
        return self._envelopes.success(job_answer(job), f"job {job.id} {_MESSAGES[job.state]}", request_id, status)


def _away() -> Refused:
    message = "the queue of jobs cannot be used now: send the request again."
    return Refused(503, "queue_unavailable", message, retry_after=_AWAY_SECONDS)


def _known(job: Job | None, name: str) -> Job:
    if job is None:
        message = f"job {name[:80]!r} is not known, or not any more: jobs that ended are kept for a while only."
        raise Refused(404, "job_not_found", message)
    return job
