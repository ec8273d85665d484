"""Tells whoever gave a ``callback_url`` how their job ended: at least once, signed, again until it is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

import msgspec
import structlog

from orita.core.clock import Clock, from_micros
from orita.core.errors import Unavailable
from orita.core.webhooks import signed_headers
from orita.serving.http.refusal import Refused
from orita.serving.http.trace_context import current_trace
from orita.serving.jobs.config import CallbackConfig
from orita.serving.jobs.counts import JobCounts
from orita.serving.jobs.destinations import Destination, Destinations
from orita.serving.jobs.queue import Job, JobQueue, Lease
from orita.serving.jobs.requests import JobAnswer, job_answer
from orita.serving.jobs.threads import QueueThreads
from orita.serving.jobs.traces import job_traced
from orita.serving.tracing.tracer import Tracer

__all__ = ["Callbacks", "JobEnded", "Posting"]

_log = structlog.stdlib.get_logger("orita.serving")
_GONE = 410


class Posting(Protocol):
    """Posts a body; `orita.serving.jobs.sending.Sender` does."""

    async def post(self, to: Destination, headers: Mapping[str, str], body: bytes) -> int:
        """Return the status of the answer; any error means that there is none."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class JobEnded(msgspec.Struct, frozen=True):
    """The body of a callback.

    Attributes:
        type: ``job.succeeded`` or ``job.failed``.
        timestamp: when the job ended.
        data: the job, as its URL answers.
    """

    type: str
    timestamp: datetime
    data: JobAnswer[msgspec.Raw]


class Callbacks:
    """Makes the calls of a queue.

    Args:
        queue: where they are due.
        threads: where the queue is asked.
        destinations: who may be called.
        sender: calls; None where nobody may be called: calls that are left from before have failed.
        secrets: of the signatures.
        config: how often.
        poll_seconds: between two looks for what another process left.
        clock: the time.
        counts: where calls are counted.
        tracer: records calls for requests that were recorded; None: none is.
    """

    def __init__(
        self,
        queue: JobQueue,
        threads: QueueThreads,
        destinations: Destinations,
        sender: Posting | None,
        secrets: Sequence[bytes],
        config: CallbackConfig,
        poll_seconds: float,
        clock: Clock,
        counts: JobCounts,
        tracer: Tracer | None = None,
    ) -> None:
        self._queue, self._threads, self._tracer = queue, threads, tracer
        self._destinations, self._sender, self._secrets = destinations, sender, secrets
        self._config, self._poll_seconds, self._clock, self._counts = config, poll_seconds, clock, counts
        self._wake = asyncio.Event()
        self._stopping = False
        self._calls: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Look for calls now."""
        self._wake.set()

    def stop(self) -> None:
        """Let `run` end soon; calls under way are given up, and made again later."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Make calls until `stop`."""
        away = False
        try:
            while not self._stopping:
                self._wake.clear()
                try:
                    await self._start_calls()
                    away = False
                except Unavailable as error:
                    if not away:
                        _log.error("callbacks_unavailable", alert=True, error=str(error))
                    away = True
                except Exception as error:  # the queue may fail in any way; calls are made on
                    if not away:
                        _log.error("callbacks_failed", alert=True, error=repr(error))
                    away = True
                await self._sleep()
        finally:
            for call in self._calls:
                call.cancel()
            await asyncio.gather(*self._calls, return_exceptions=True)
            if self._sender is not None:
                await self._sender.close()

    async def _start_calls(self) -> None:
        while len(self._calls) < self._config.at_once and not self._stopping:
            lease = await self._threads.run(self._queue.take, "callback")
            if lease is None:
                return
            call = asyncio.get_running_loop().create_task(self._call(lease))
            self._calls.add(call)
            call.add_done_callback(self._done)

    def _done(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._wake.set()

    async def _call(self, lease: Lease) -> None:
        """Make one call; where it cannot be settled its lease runs out, and it is made again."""
        try:
            job = await self._threads.run(self._queue.find, lease.job)
            assert job is not None
            assert job.callback_url is not None
            with job_traced(lease, self._tracer) as traced:
                outcome, why = await self._outcome(job, job.callback_url)
                if traced is not None and outcome != "delivered":
                    traced.error = why
            if outcome is None and lease.attempt < self._config.attempts:
                pause = min(
                    self._config.backoff_seconds * 2.0 ** (lease.attempt - 1), self._config.most_backoff_seconds
                )
                await self._threads.run(self._queue.give_back, lease, pause)
                self._counts.callbacks["put_off"] += 1
                return
            if outcome != "delivered":
                _log.warning("callback_failed", job=lease.job, attempts=lease.attempt, reason=why)
            if await self._threads.run(self._queue.settle, lease, outcome or "failed"):
                self._counts.callbacks[outcome or "failed"] += 1
        except asyncio.CancelledError:
            await self._threads.run(lambda: self._queue.give_back(lease, 0.0, counted=False))
            raise
        except Exception as error:
            _log.warning("callback_unsettled", job=lease.job, error=repr(error))

    async def _outcome(self, job: Job, url: str) -> tuple[Literal["delivered", "failed"] | None, str]:
        """Return how a call ended, None: it should be made again; and why."""
        try:
            to = self._destinations.parse(url)
        except Refused as refused:  # the configuration is another than when the job was taken in
            return "failed", refused.message
        assert self._sender is not None, "without a sender no destination is allowed"
        ended = from_micros(job.ended_micros or 0)
        body = msgspec.json.encode(JobEnded(f"job.{job.state}", ended, job_answer(job)))
        headers = signed_headers(self._secrets, job.id, int(self._clock.now().timestamp()), body)
        if (trace := current_trace()) is not None:
            headers |= {name.decode(): value.decode() for name, value in trace.onward}
        try:
            status = await self._sender.post(to, headers, body)
        except Exception as error:  # whatever it is, it is no answer
            return None, str(error)
        if 200 <= status < 300:
            return "delivered", ""
        return ("failed" if status == _GONE else None), f"it answered {status}"

    async def _sleep(self) -> None:
        """Wait, until `wake` at the latest."""
        try:
            await asyncio.wait_for(self._wake.wait(), self._poll_seconds)
        except TimeoutError:
            return
