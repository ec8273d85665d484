"""A server's parts, wired: the champion it follows, the log it writes, what it counts, how it answers.

Around each of the parts that may fail there is a guard, and within it, in a drill, the faults that were asked for.
"""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import anyio.to_thread

from orita.control.deployments import Deployments
from orita.core.clock import Clock, to_micros
from orita.core.errors import UserError
from orita.core.home import Home
from orita.delivery.rollouts.rollouts import Rollouts
from orita.serving.background.parts import BackgroundParts
from orita.serving.batching.joint import JointPredictions
from orita.serving.batching.measuring import joins_up_to
from orita.serving.cache.config import open_cache
from orita.serving.cache.invalidating import InvalidatingFeatureService, id_columns
from orita.serving.cache.predictions import PredictionCache
from orita.serving.config import ServingConfig
from orita.serving.features.unknown_ids import by_policy
from orita.serving.http.reply import QuickRoutes
from orita.serving.log.prediction_log import PredictionLog
from orita.serving.models.challengers import ChallengerFollower
from orita.serving.models.champion import ChampionFollower
from orita.serving.predict.cached_predictor import CachedPredictor
from orita.serving.predict.objective_bounds import telling_of_bounds
from orita.serving.predict.outliers import OutlierCounts, outlier_check
from orita.serving.predict.predictor import Predictor
from orita.serving.predict.requests import RequestDecoder
from orita.serving.protocols import FeatureService, FeatureSource, PackageLoader, PredictionSink
from orita.serving.resilience.admitted import AdmittedRoutes
from orita.serving.resilience.faults import Faults
from orita.serving.resilience.faulty import FaultyFeatures, FaultyFeatureService, FaultySink, faulty_loader
from orita.serving.resilience.guard import Guard, GuardState
from orita.serving.resilience.guarded import GuardedFeatures, GuardedPackage, guarded_loader, unguarded
from orita.serving.resilience.parts import Parts, build_parts
from orita.serving.resilience.ping import Ping
from orita.serving.resilience.popularity import RateSource
from orita.serving.resilience.prober import probing
from orita.serving.telemetry.metrics import ServingMetrics
from orita.serving.telemetry.skew_metric import SkewMetric
from orita.serving.telemetry.watch_metric import WatchMetric

__all__ = ["Service", "build_service"]

_PREDICT = b"/predict"


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one server.

    Attributes:
        system: whose champion answers.
        config: what can be set.
        clock: the time.
        follower: the champion and how it is kept up to date.
        log: where answers are logged.
        sink: the same, with the faults of a drill.
        metrics: what is counted.
        predictor: how a request is answered.
        joint: scores waiting requests together.
        skew: the newest skew report.
        watch: the newest monitoring report.
        parts: what keeps it up.
        faults: what goes wrong in a drill.
        cache: what keeps predictions, None where that is off.
        cached: answers from it, None likewise.
        outliers: counts requests that are unlike training rows.
        stopping: set once the server was asked to stop.
        background: what works beside requests.
    """

    system: str
    config: ServingConfig
    clock: Clock
    follower: ChampionFollower
    log: PredictionLog
    sink: PredictionSink
    metrics: ServingMetrics
    predictor: Predictor
    joint: JointPredictions
    skew: SkewMetric
    watch: WatchMetric
    parts: Parts
    faults: Faults
    cache: PredictionCache | None = None
    cached: CachedPredictor | None = None
    outliers: OutlierCounts = field(default_factory=OutlierCounts)
    stopping: threading.Event = field(default_factory=threading.Event)
    background: BackgroundParts = field(default_factory=BackgroundParts)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start the parts; when the block ends, stop them in order: every answer given is logged by then."""
        if self.cache is not None:
            self.cache.open()
        self.log.start()
        try:
            await anyio.to_thread.run_sync(self.follower.start)
            self.parts.popularity.start()
            seconds = self.config.resilience.ping_seconds
            try:
                async with (
                    probing(lambda: self.parts.store, Ping(self._read), seconds=seconds),
                    probing(self._model_guard, Ping(self._score), seconds=seconds),
                ):
                    yield
            finally:
                await anyio.to_thread.run_sync(self.parts.popularity.close)
                await anyio.to_thread.run_sync(self.follower.close)
                if self.cache is not None:
                    await self.cache.close()
        finally:
            await anyio.to_thread.run_sync(self.log.close)

    @property
    def guards(self) -> tuple[GuardState, ...]:
        """How the dependencies are: store, model where there is one, event log, queue of jobs, cache in Redis."""
        store, *others = self.parts.states
        model = self._model_guard()
        cache = None if self.cache is None else self.cache.guard
        found = (store, None if model is None else model.state, *others, cache)
        return tuple(state for state in found if state is not None)

    def admitted(self, routes: QuickRoutes) -> QuickRoutes:
        """Return quick *routes* behind the door."""
        return AdmittedRoutes(routes, self.parts, self._refused_early)

    def around(self, store: FeatureService) -> FeatureService:
        """Return *store* with the faults of a drill, and whose pushes let go what is in the cache."""
        service: FeatureService = FaultyFeatureService(store, self.faults) if self.faults else store
        if self.cache is not None:
            return InvalidatingFeatureService(service, self.cache, partial(id_columns, store))
        return service

    def _refused_early(self, path: bytes) -> None:
        if path == _PREDICT:
            self.metrics.refused(503)

    def _model_guard(self) -> Guard | None:
        package = self._guarded()
        return None if package is None else package.guard

    def _guarded(self) -> GuardedPackage | None:
        champion = self.follower.champion
        return champion.package if champion is not None and isinstance(champion.package, GuardedPackage) else None

    def _score(self) -> None:
        """Score something past the model's guard."""
        package = self._guarded()
        if package is not None:
            package.ping()

    def _read(self) -> None:
        """Read features past the guard; without a champion there is nothing to ask, and nobody waits for it."""
        champion = self.follower.champion
        if champion is not None:
            with suppress(UserError):  # an answer: nobody has the ids 0
                unguarded(champion.features).matrix(0, [0], {}, to_micros(self.clock.now()))


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

    Raises:
        UserError: there are faults to inject, and the environment does not allow them; a table of popularity is not
            there; or the cache cannot be opened.
    """
    resilience = config.resilience
    faults = Faults(config.faults, clock, os.environ)
    rates = features if isinstance(features, RateSource) else None
    parts = build_parts(resilience, clock, rates, slots=config.cache.answers_at_once)
    log, outliers = PredictionLog(home, config.log), OutlierCounts()
    known = by_policy(features, config.unknown_ids)
    source: FeatureSource = FaultyFeatures(known, faults) if faults else known
    load = telling_of_bounds(load, config.objective_bounds)
    challengers = ChallengerFollower(system, Rollouts(home.control, home.tenant, clock))
    follower = ChampionFollower(
        system,
        Deployments(home.control, home.tenant, clock),
        home.packages,
        GuardedFeatures(source, parts.store),
        load=guarded_loader(
            faulty_loader(load, faults) if faults else load, partial(Guard, "model", resilience.model, clock)
        ),
        clock=clock,
        seconds=config.reload_seconds,
        outliers=lambda package: outlier_check(package, config.outliers, outliers),
        joins=lambda package: joins_up_to(package, config.batching, config.max_items),
        challengers=challengers,
        apart=lambda: GuardedFeatures(source, Guard("store", resilience.store, clock)),
    )
    metrics = ServingMetrics(clock)
    metrics.others.append(challengers.metrics)
    sink: PredictionSink = FaultySink(log, faults) if faults else log
    predictor = Predictor(
        lambda: follower.champion,
        sink,
        clock,
        parts,
        store_seconds=resilience.store_ms / 1000,
        objective_bounds=config.objective_bounds,
        challengers=lambda: challengers.current,
    )
    cache = open_cache(config.cache, clock, tenant=home.tenant, system=system)
    background = BackgroundParts()
    for part in (log, log.converter, follower.background, parts.popularity.background):
        background.watch(part)
    return Service(
        system,
        config,
        clock,
        follower,
        log,
        sink,
        metrics,
        predictor,
        JointPredictions(predictor, RequestDecoder(config), clock, config.batching),
        SkewMetric(home, system),
        WatchMetric(home, system),
        parts,
        faults,
        cache,
        CachedPredictor(predictor, cache, by_ids=config.cache.key == "ids") if cache is not None else None,
        outliers,
        background=background,
    )
