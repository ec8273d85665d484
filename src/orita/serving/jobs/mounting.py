"""Jobs of one server, wired: the queue, its routes, the worker and the callbacks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.routing import Route

from orita.core.clock import Clock
from orita.core.errors import UserError
from orita.core.extras import require
from orita.core.home import Home
from orita.serving.jobs.callbacks import Callbacks
from orita.serving.jobs.config import CallbackConfig, JobsConfig
from orita.serving.jobs.destinations import Destinations
from orita.serving.jobs.openapi import describe_jobs
from orita.serving.jobs.opening import open_queue
from orita.serving.jobs.patient import PatientPredictor
from orita.serving.jobs.queue import JobQueue
from orita.serving.jobs.requests import JobRequests
from orita.serving.jobs.routes import JobRoutes
from orita.serving.jobs.signature import parse_secrets
from orita.serving.jobs.threads import QueueThreads
from orita.serving.jobs.worker import JobWorker
from orita.serving.requests import RequestDecoder
from orita.serving.service import Service

__all__ = ["MountedJobs", "mounted_jobs"]

_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class MountedJobs:
    """The jobs of a server.

    Attributes:
        routes: for its router; none where jobs are off.
        described: ``paths`` and ``components`` of the OpenAPI document, likewise.
        queue: where they are kept; None where they are off.
        worker: does them; None where other servers do.
        callbacks: tells of them, likewise.
    """

    routes: Sequence[Route] = ()
    described: Sequence[dict[str, Any]] = ()
    queue: JobQueue | None = None
    worker: JobWorker | None = None
    callbacks: Callbacks | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Do jobs; when the block ends, what was begun is given back, for another worker or a later one."""
        parts = [part for part in (self.worker, self.callbacks) if part is not None]
        tasks = [asyncio.get_running_loop().create_task(part.run()) for part in parts]
        try:
            yield
        finally:
            for part in parts:
                part.stop()
            await _ended(tasks)
            if self.queue is not None:
                self.queue.close()


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait for *tasks*, and not for long: a queue that does not answer must not hold up the stop of a server."""
    if not tasks:
        return
    _, left = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
    for task in left:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def mounted_jobs(home: Home, system: str, service: Service) -> MountedJobs:
    """Return the jobs of *service*, not started yet; none where ``serving.jobs.enabled`` is false.

    Raises:
        MissingExtra: what the queue or the callbacks need is not installed.
        UserError: the address of the queue, or the secret of the callbacks, is not allowed or not there.
    """
    config, clock = service.config.jobs, service.clock
    if not config.enabled:
        return MountedJobs()
    queue, threads = open_queue(config, home, system, clock), QueueThreads()
    destinations = Destinations(config.callbacks)
    decode = RequestDecoder(service.config)
    requests = JobRequests(config, decode, destinations.parse)
    described = [describe_jobs(service.config)]
    if not config.work:
        routes = JobRoutes(queue, threads, requests, config.max_body_bytes, lambda: None, clock)
        return MountedJobs(routes.routes, described, queue)
    callbacks = _callbacks(config, queue, threads, destinations, clock)
    worker = JobWorker(
        queue,
        threads,
        PatientPredictor(service.predictor),
        decode,
        lambda: service.follower.champion is not None and not service.stopping.is_set(),
        callbacks.wake,
        config,
        clock,
    )
    routes = JobRoutes(queue, threads, requests, config.max_body_bytes, worker.wake, clock)
    return MountedJobs(routes.routes, described, queue, worker, callbacks)


def _callbacks(
    config: JobsConfig, queue: JobQueue, threads: QueueThreads, destinations: Destinations, clock: Clock
) -> Callbacks:
    calls, poll_seconds = config.callbacks, config.poll_seconds
    if not calls.hosts:
        return Callbacks(queue, threads, destinations, None, (), calls, poll_seconds, clock)
    secrets = _secrets(calls)
    require("httpcore2", extra="client")
    from orita.serving.jobs.sending import Sender  # it imports what the extra brings

    sender = Sender(destinations, calls.timeout_seconds, calls.at_once)
    return Callbacks(queue, threads, destinations, sender, secrets, calls, poll_seconds, clock)


def _secrets(config: CallbackConfig) -> tuple[bytes, ...]:
    variable = config.secret_variable
    if variable not in os.environ:
        raise UserError(
            f"the secret that signs callbacks should be in the environment variable {variable!r} "
            "(serving.jobs.callbacks.secret_variable), which is not set: set it to whsec_ and the base64 of 32 random "
            "bytes, or leave callbacks.hosts empty."
        )
    return parse_secrets(os.environ[variable], variable)
