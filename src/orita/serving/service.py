"""A server's parts, wired: the champion it follows, the log it writes, what it counts, how it answers."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio.to_thread

from orita.control.deployments import Deployments
from orita.core.clock import Clock
from orita.core.home import Home
from orita.serving.champion import ChampionFollower
from orita.serving.config import ServingConfig
from orita.serving.metrics import ServingMetrics
from orita.serving.prediction_log import PredictionLog
from orita.serving.predictor import Predictor
from orita.serving.protocols import FeatureSource, PackageLoader
from orita.serving.skew_metric import SkewMetric

__all__ = ["Service", "build_service"]


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one server.

    Attributes:
        config: what can be set.
        clock: the time.
        follower: the champion and how it is kept up to date.
        log: where answers are logged.
        metrics: what is counted.
        predictor: how a request is answered.
        skew: the newest skew report.
        stopping: set once the server was asked to stop.
    """

    config: ServingConfig
    clock: Clock
    follower: ChampionFollower
    log: PredictionLog
    metrics: ServingMetrics
    predictor: Predictor
    skew: SkewMetric
    stopping: threading.Event = field(default_factory=threading.Event)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start the parts; when the block ends, stop them in order: every answer given is logged by then."""
        self.log.start()
        try:
            await anyio.to_thread.run_sync(self.follower.start)
            try:
                yield
            finally:
                await anyio.to_thread.run_sync(self.follower.close)
        finally:
            await anyio.to_thread.run_sync(self.log.close)


def build_service(
    home: Home,
    system: str,
    features: FeatureSource,
    config: ServingConfig,
    *,
    clock: Clock,
    load: PackageLoader,
) -> Service:
    """Return the parts of a server, not started yet.

    Args:
        home: where deployments, packages and the prediction log are.
        system: whose champion answers.
        features: where the features of a request come from.
        config: what can be set.
        clock: the time.
        load: opens a package, such as `orita.models.package.load_package`.
    """
    log = PredictionLog(home, config.log)
    follower = ChampionFollower(
        system,
        Deployments(home.control_db, home.tenant, clock),
        home.packages,
        features,
        load=load,
        clock=clock,
        seconds=config.reload_seconds,
    )
    predictor = Predictor(lambda: follower.champion, log, clock)
    return Service(config, clock, follower, log, ServingMetrics(clock), predictor, SkewMetric(home, system))
