"""A worker: takes jobs, answers their requests one by one between the requests of others, and ends them.

It runs on the event loop, whose thread alone may ask the predictor; a slice of its work is one request. The queue is
asked in threads. A worker that stops in order gives its job back; one that is killed loses its lease, and another does
the job anew. What that one answers has other request ids, so the prediction log tells the two apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec
import structlog

from orita.core.clock import Clock
from orita.core.errors import Unavailable
from orita.serving.http.failure import failure, log_failure
from orita.serving.http.refusal import Refused
from orita.serving.jobs.config import JobsConfig
from orita.serving.jobs.counts import JobCounts
from orita.serving.jobs.pace import Pace
from orita.serving.jobs.patient import NotYet
from orita.serving.jobs.queue import JobError, JobQueue, Lease
from orita.serving.jobs.requests import JobResult, numbered, split_requests
from orita.serving.jobs.threads import QueueThreads
from orita.serving.jobs.traces import job_traced
from orita.serving.predict.predictor import PredictAnswer
from orita.serving.predict.requests import Asked
from orita.serving.tracing.tracer import Tracer

__all__ = ["JobWorker"]

_log = structlog.stdlib.get_logger("orita.serving")
_FORGET_SECONDS = 60.0
_Outcome = Literal["succeeded", "failed", "put_off", "given_back", "lost"]


class Answering(Protocol):
    """Answers one request; `orita.serving.jobs.patient.PatientPredictor` does."""

    def answer(self, asked: Asked, request_id: str, started: float, *, last: bool) -> PredictAnswer:
        """Return the answer, or raise `Refused` or `NotYet`; *last*: nobody will ask again."""
        ...


class _Lost(Exception):
    """The lease is another worker's."""


class _Stopping(Exception):
    """The worker is to stop."""


class JobWorker:
    """Does jobs.

    Args:
        queue: where they are.
        threads: where the queue is asked.
        predictor: answers one request.
        decode: decodes one.
        ready: whether there is a model; without one no job is begun.
        ended: called when a job has ended.
        config: how often and how fast.
        clock: the time.
        counts: where jobs are counted.
        tracer: records what is done for requests that were recorded; None: nothing is.
    """

    def __init__(
        self,
        queue: JobQueue,
        threads: QueueThreads,
        predictor: Answering,
        decode: Callable[[bytes], Asked],
        ready: Callable[[], bool],
        ended: Callable[[], None],
        config: JobsConfig,
        clock: Clock,
        counts: JobCounts,
        tracer: Tracer | None = None,
    ) -> None:
        self._queue, self._threads, self._tracer = queue, threads, tracer
        self._predictor, self._decode, self._ready = predictor, decode, ready
        self._ended = ended
        self._config, self._clock, self._counts = config, clock, counts
        self._pace = Pace(config.share, clock)
        self._encode = msgspec.json.Encoder().encode
        self._wake = asyncio.Event()
        self._stopping = False
        self._forget_at = 0.0

    def wake(self) -> None:
        """Look for jobs now."""
        self._wake.set()

    def stop(self) -> None:
        """Let `run` end soon; the job under way is given back."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Do jobs until `stop`."""
        away = False
        while not self._stopping:
            self._wake.clear()
            try:
                await self._forget()
                while self._ready() and (lease := await self._threads.run(self._queue.take, "answer")) is not None:
                    await self._work(lease)
                away = False
            except Unavailable as error:
                if not away:
                    _log.error("jobs_unavailable", alert=True, error=str(error))
                away = True
            except _Stopping:
                return
            except Exception as error:  # the edge: the lease of the job runs out, and its attempts are bounded
                log_failure("job_failed", error)
            await self._sleep(self._config.poll_seconds)

    async def _work(self, lease: Lease) -> None:
        with job_traced(lease, self._tracer) as traced:
            outcome = await self._outcome(lease)
            if traced is not None:
                traced.attributes["job.outcome"] = outcome
                traced.error = "the job failed" if outcome == "failed" else None
        if outcome == "given_back":
            raise _Stopping

    async def _outcome(self, lease: Lease) -> _Outcome:
        """Do a job; return what became of it."""
        try:
            results = await self._answers(lease)
        except _Lost:
            self._lost(lease)
            return "lost"
        except _Stopping:
            await self._threads.run(lambda: self._queue.give_back(lease, 0.0, counted=False))
            return "given_back"
        except NotYet:
            return await self._put_off(lease)
        except Refused as refused:
            return await self._failed(lease, refused)
        return await self._finish(lease, "succeeded", results)

    async def _answers(self, lease: Lease) -> bytes:
        """Return the results of a job, a JSON array."""
        results: list[bytes] = []
        renewed = self._clock.monotonic()
        for number, request in enumerate(split_requests(lease.requests)):
            if self._stopping:
                raise _Stopping
            if self._clock.monotonic() - renewed > self._config.lease_seconds / 3:
                if not await self._threads.run(self._queue.renew, lease):
                    raise _Lost
                renewed = self._clock.monotonic()
            started = self._clock.monotonic()
            results.append(self._one(lease, number, request, started))
            await self._pace.turn(self._clock.monotonic() - started)
        return b"[" + b",".join(results) + b"]"

    def _one(self, lease: Lease, number: int, request: bytes, started: float) -> bytes:
        request_id = f"{lease.job}:{number}:{lease.token}"
        try:
            last = lease.attempt >= self._config.attempts
            answer = self._predictor.answer(self._decode(request), request_id, started, last=last)
        except NotYet:
            raise
        except Refused as refused:
            raise numbered(refused, number) from None
        except Exception as error:  # the edge: the caller gets the documented form, the log the trace
            raise numbered(failure("job_failed", error, request_id=request_id), number) from None
        return self._encode(JobResult(request_id, answer))

    async def _failed(self, lease: Lease, refused: Refused) -> _Outcome:
        """Let a job fail that nothing will help, or that had its attempts; another is put off."""
        if refused.status < 500 or lease.attempt >= self._config.attempts:
            error = self._encode(JobError(refused.code, refused.message))
            return await self._finish(lease, "failed", error)
        return await self._put_off(lease)

    async def _put_off(self, lease: Lease) -> _Outcome:
        pause = min(self._config.backoff_seconds * 2.0 ** (lease.attempt - 1), self._config.most_backoff_seconds)
        if not await self._write(lease, lambda: self._queue.give_back(lease, pause)):
            return "lost"
        self._counts.put_off += 1
        return "put_off"

    async def _finish(self, lease: Lease, state: Literal["succeeded", "failed"], content: bytes) -> _Outcome:
        if not await self._write(lease, lambda: self._queue.finish(lease, state, content)):
            return "lost"
        self._counts.ended(lease.job, state)
        return state

    async def _write(self, lease: Lease, write: Callable[[], bool]) -> bool:
        """Write how a job ended, again and again for as long as its lease lasts: the work need not be done twice.

        Returns:
            Whether it was written; else another worker has the job.
        """
        until = self._clock.monotonic() + self._config.lease_seconds
        while True:
            try:
                written = await self._threads.run(write)
                self._ended()
                if not written:
                    self._lost(lease)
                return written
            except Unavailable:
                if self._stopping or self._clock.monotonic() >= until:
                    raise
            await self._sleep(self._config.poll_seconds)

    def _lost(self, lease: Lease) -> None:
        self._counts.leases_lost += 1
        _log.warning("job_taken_over", job=lease.job, token=lease.token)

    async def _forget(self) -> None:
        if self._clock.monotonic() >= self._forget_at:
            self._forget_at = self._clock.monotonic() + min(_FORGET_SECONDS, self._config.keep_seconds)
            await self._threads.run(self._queue.forget)

    async def _sleep(self, seconds: float) -> None:
        """Wait, until `wake` at the latest."""
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return
