"""The face of bandits, wired."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio.to_thread

from orita.core.home import Home
from orita.delivery.bandits.kept import Bandits
from orita.delivery.bandits.learner import Learner
from orita.delivery.bandits.snapshots import snapshot_file
from orita.events.log.embedded import EmbeddedLog
from orita.events.log.log import EventLog
from orita.serving.bandits.answering import BanditAnswers
from orita.serving.bandits.follower import BanditFollower
from orita.serving.bandits.openapi import describe_bandits
from orita.serving.bandits.routes import BanditRoutes
from orita.serving.bandits.writing import RecordWriter
from orita.serving.http.face import Face
from orita.serving.service import Service

__all__ = ["mounted_bandits"]


def mounted_bandits(home: Home, service: Service, log: EventLog | None = None) -> Face:
    """Return the bandits of the home's tenant at ``/api/v1/bandits``; nothing where they are off.

    Args:
        home: where they are declared, and what they learnt is kept.
        service: says what is allowed, and knows what works beside requests.
        log: where choices and rewards go; None: the event log of the home.
    """
    config, clock = service.config, service.clock
    if not config.bandits.enabled:
        return Face()
    log = log or EmbeddedLog(home, clock)
    follower = BanditFollower(config.bandits.learn_seconds)
    days = config.bandits.retention_days
    follower.learner = Learner(
        Bandits(home.control, home.tenant, clock),
        log,
        snapshot_file(home),
        snapshot_rows=config.bandits.snapshot_rows,
        retention=None if days is None else timedelta(days=days),
        goes_on=follower.goes_on,
    )
    writer = RecordWriter(log, config.bandits.most_waiting)
    for part in (follower, writer):
        service.background.watch(part.background)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        await anyio.to_thread.run_sync(follower.start)
        writer.start()
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(writer.close)
            await anyio.to_thread.run_sync(follower.close)

    answers = BanditAnswers(follower.learner, writer, log, clock)
    service.metrics.others.append(answers.metrics)
    routes = BanditRoutes(answers, clock, max_body=config.max_body_bytes).routes
    return Face(service.metrics.api_latency.watched(routes), [describe_bandits], running)
