"""Jobs of one server, wired: the queue, its routes, the worker and the callbacks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from types import MappingProxyType

from orita.core.clock import Clock
from orita.core.errors import UserError
from orita.core.extras import require
from orita.core.home import Home
from orita.core.webhooks import parse_secrets
from orita.serving.background.parts import BackgroundParts, BackgroundTask
from orita.serving.http.face import Face
from orita.serving.jobs.callbacks import Callbacks
from orita.serving.jobs.config import CallbackConfig, JobsConfig
from orita.serving.jobs.counts import JobCounts
from orita.serving.jobs.destinations import Destinations
from orita.serving.jobs.faulty import faulty_queue
from orita.serving.jobs.openapi import describe_jobs
from orita.serving.jobs.opening import open_queue
from orita.serving.jobs.patient import PatientPredictor
from orita.serving.jobs.queue import JobQueue
from orita.serving.jobs.requests import JobRequests
from orita.serving.jobs.routes import JobRoutes
from orita.serving.jobs.threads import QueueThreads
from orita.serving.jobs.watching import watching
from orita.serving.jobs.worker import JobWorker
from orita.serving.predict.objective_bounds import asked_objective
from orita.serving.predict.requests import Asked, RequestDecoder
from orita.serving.resilience.guarded_threads import GuardedThreads
from orita.serving.service import Service
from orita.serving.tracing.tracer import Tracer

__all__ = ["mounted_jobs"]

_STOP_SECONDS = 10.0
_LOOK_SECONDS = 5.0


@asynccontextmanager
async def _running(
    queue: JobQueue,
    watched: Callable[[], AbstractAsyncContextManager[None]],
    background: BackgroundParts,
    parts: Mapping[str, JobWorker | Callbacks] = MappingProxyType({}),
) -> AsyncIterator[None]:
    """Do jobs; when the block ends, what was begun is given back, for another worker or a later one."""
    tasks = {name: asyncio.get_running_loop().create_task(part.run()) for name, part in parts.items()}
    for name, task in tasks.items():
        background.watch(BackgroundTask(name, task))
    try:
        async with watched():
            yield
    finally:
        for part in parts.values():
            part.stop()
        await _ended(list(tasks.values()))
        queue.close()


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait for *tasks*, and not for long: a queue that does not answer must not hold up the stop of a server."""
    if not tasks:
        return
    _, left = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
    for task in left:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def mounted_jobs(home: Home, system: str, service: Service, tracer: Tracer | None = None) -> Face:
    """Return the jobs of *service*, not started yet; none where ``serving.jobs.enabled`` is false.

    What is done for requests that *tracer* recorded is recorded by it too.

    Raises:
        MissingExtra: what the queue or the callbacks need is not installed.
        UserError: the address of the queue, or the secret of the callbacks, is not allowed or not there.
    """
    config, clock = service.config.jobs, service.clock
    if not config.enabled:
        return Face()
    queue, threads = open_queue(config, home, system, clock), QueueThreads()
    if service.faults:
        queue = faulty_queue(queue, service.faults)
    parts, resilience, counts = service.parts, service.config.resilience, JobCounts(clock)
    latency = service.metrics.api_latency
    service.metrics.others.append(counts.metrics)
    asking = GuardedThreads(parts.jobs, resilience.jobs, clock)
    watched = partial(
        watching,
        queue,
        asking,
        parts.jobs,
        counts,
        seconds=min(_LOOK_SECONDS, 10 * config.poll_seconds),
        ping_seconds=resilience.ping_seconds,
    )
    destinations = Destinations(config.callbacks)
    decode = RequestDecoder(service.config)
    requests = JobRequests(config, partial(_checked, service, decode), destinations.parse)
    described = [partial(describe_jobs, service.config)]
    if not config.work:
        routes = JobRoutes(queue, asking, requests, config.max_body_bytes, lambda: None, clock, parts, counts)
        return Face(latency.watched(routes.routes), described, partial(_running, queue, watched, service.background))
    callbacks = _callbacks(config, queue, threads, destinations, clock, counts, tracer)
    worker = JobWorker(
        queue,
        threads,
        PatientPredictor(service.predictor),
        decode,
        lambda: service.follower.champion is not None and not service.stopping.is_set(),
        callbacks.wake,
        config,
        clock,
        counts,
        tracer,
    )
    routes = JobRoutes(queue, asking, requests, config.max_body_bytes, worker.wake, clock, parts, counts)
    parts_by_name: dict[str, JobWorker | Callbacks] = {"what does jobs": worker, "what makes callbacks": callbacks}
    running = partial(_running, queue, watched, service.background, parts_by_name)
    return Face(latency.watched(routes.routes), described, running)


def _checked(service: Service, decode: RequestDecoder, body: bytes) -> Asked:
    """Return what *body* asks, with an objective that the model which answers now allows.

    Raises:
        Refused: as ``POST /predict``.
    """
    asked, champion, bounds = decode(body), service.follower.champion, service.config.objective_bounds
    if asked.objective is not None and (champion is not None or not bounds):
        heads, own = (champion.package.heads, champion.package.objective) if champion is not None else ((), {})
        asked_objective(asked.objective, bounds, heads, own)
    return asked


def _callbacks(
    config: JobsConfig,
    queue: JobQueue,
    threads: QueueThreads,
    destinations: Destinations,
    clock: Clock,
    counts: JobCounts,
    tracer: Tracer | None,
) -> Callbacks:
    calls, poll_seconds = config.callbacks, config.poll_seconds
    if not calls.hosts:
        return Callbacks(queue, threads, destinations, None, (), calls, poll_seconds, clock, counts, tracer)
    secrets = _secrets(calls)
    require("httpcore2", extra="client")
    from orita.serving.jobs.sending import Sender  # it imports what the extra brings

    sender = Sender(destinations, calls.timeout_seconds, calls.at_once)
    return Callbacks(queue, threads, destinations, sender, secrets, calls, poll_seconds, clock, counts, tracer)


def _secrets(config: CallbackConfig) -> tuple[bytes, ...]:
    variable = config.secret_variable
    if variable not in os.environ:
        raise UserError(
            f"the secret that signs callbacks should be in the environment variable {variable!r} "
            "(serving.jobs.callbacks.secret_variable), which is not set: set it to whsec_ and the base64 of 32 random "
            "bytes, or leave callbacks.hosts empty."
        )
    return parse_secrets(os.environ[variable], variable)
