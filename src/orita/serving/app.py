"""The server as an ASGI application: its faces, and what they share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache, partial
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware

from orita.core.clock import Clock, SystemClock
from orita.core.home import Home
from orita.events.log.log import EventLog
from orita.models.package import load_package
from orita.serving.access.callers import Callers, LocalCallers
from orita.serving.access.gate import Gate
from orita.serving.access.own_pages import OwnPages
from orita.serving.bandits.mounting import mounted_bandits
from orita.serving.batching.mounting import mounted_batches
from orita.serving.config import ServingConfig
from orita.serving.documents.openapi_document import document
from orita.serving.documents.routes import DocumentRoutes
from orita.serving.explain.route import ExplainRequest
from orita.serving.feed.follower import RetrieverLoader
from orita.serving.feed.mounting import mounted_feed
from orita.serving.flags.mounting import mounted_flags
from orita.serving.http.edge import EdgeRoute, edges
from orita.serving.http.error_answers import exception_handlers
from orita.serving.http.turned_away import TurnedAway
from orita.serving.inference_protocol.joint import JointInference
from orita.serving.inference_protocol.mounting import mounted_inference
from orita.serving.inference_protocol.quick import QuickPaths
from orita.serving.inference_protocol.routes import InferenceRoutes
from orita.serving.jobs.mounting import mounted_jobs
from orita.serving.models.in_memory import ModelsInMemory
from orita.serving.mounting import mounted_explanations, mounted_features, mounted_predictions
from orita.serving.otlp.telemetry import Telemetry
from orita.serving.predict.route import PredictRoute
from orita.serving.protocols import FeatureService, FeatureSource, PackageLoader
from orita.serving.resources.known import ModelRegistry
from orita.serving.resources.mounting import mounted_models
from orita.serving.rollouts.mounting import mounted_rollouts
from orita.serving.service import build_service
from orita.serving.telemetry.exposition import collected

__all__ = ["create_app"]


def create_app(
    home: Home,
    system: str,
    features: FeatureSource,
    config: ServingConfig | None = None,
    *,
    store: FeatureService | None = None,
    clock: Clock | None = None,
    load: PackageLoader = load_package,
    registry: ModelRegistry | None = None,
    explain: ExplainRequest | None = None,
    load_retriever: RetrieverLoader | None = None,
    callers: Callers | None = None,
    bandit_log: EventLog | None = None,
    outcomes: Mapping[str, str] | None = None,
) -> Starlette:
    """Return the server of *system* as a Starlette application.

    Args:
        home: where deployments, packages and the prediction log are.
        system: whose champion answers.
        features: where the features of a request come from.
        config: what can be set.
        store: the feature store behind ``/api/v1/features``; None: there is no such path.
        clock: the time.
        load: opens a package.
        registry: is told of deployments that are asked for over HTTP; None: they are refused.
        explain: explains logged requests at ``/api/v1/predictions``; None: there is no such path.
        load_retriever: opens the retriever that is deployed for the feed; None: the feed goes without.
        callers: knows who asks, and what they may; None: `LocalCallers`.
        bandit_log: where choices and rewards of bandits are logged; None: the event log of the home.
        outcomes: types of the columns of interactions, by which a rollout may judge; None: any.

    Raises:
        MissingExtra, UserError: gRPC is wanted, and not installed, or cannot listen where it should; or telemetry
            is, in an encoding that is not installed.

    The parts start and stop with the application's lifespan. Of ``app.state``, ``service`` holds them, ``quick`` the
    routes that `orita.serving.server` answers on the short way, ``inference`` the Open Inference Protocol, ``faces``
    all that is mounted, ``together`` the other workers; ``document`` returns the OpenAPI document, and ``turned_away``
    counts what is refused before there is a route.
    """
    service = build_service(home, system, features, config or ServingConfig(), clock=clock or SystemClock(), load=load)
    config, least = service.config, service.config.compress_bytes
    models = ModelsInMemory(
        system, service.follower, home.packages, load=load, config=config.models, clock=service.clock
    )
    who, turned_away = callers or LocalCallers(config.host), TurnedAway()
    pages = OwnPages(config.host, config.hosts, config.public_paths)
    service.metrics.others += [models.metrics, turned_away.metrics]
    telemetry = Telemetry(config.telemetry, system, partial(collected, service), service.clock.monotonic)
    service.metrics.others.append(telemetry.metrics)
    if config.telemetry.endpoint is not None:
        service.background.watch(telemetry.background)
    predict, inference = PredictRoute(service), InferenceRoutes(models, service.parts, max_body=config.max_body_bytes)
    faces = (
        mounted_predictions(service, predict),
        mounted_batches(service),
        mounted_features(service, store),
        mounted_inference(service, inference, who),
        mounted_explanations(home, system, service, explain),
        mounted_feed(home, system, service, features, load_retriever),
        mounted_jobs(home, system, service, telemetry.tracer),
        mounted_flags(home, service),
        mounted_bandits(home, service, bandit_log),
        mounted_models(home, system, service, features, models, who, registry=registry),
        mounted_rollouts(home, system, service, features, load=load, registry=registry, outcomes=outcomes),
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as running:
            await running.enter_async_context(telemetry.running())
            await running.enter_async_context(service.running())
            for face in faces:
                await running.enter_async_context(face.running())
            yield

    @cache
    def told() -> dict[str, Any]:
        described = [describe() for face in faces for describe in face.described]
        return document("Orita", f"Ranks items: {system}.", described)

    app = Starlette(
        routes=[*(route for face in faces for route in face.routes), *DocumentRoutes(told).routes],
        middleware=[*edges(least, telemetry.tracer), Middleware(Gate, who, pages, turned_away, service.clock)],
        exception_handlers=exception_handlers(service.clock),
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # a redirect would be a second form of "there is no such path"
    app.state.service, app.state.inference = service, inference
    app.state.faces, app.state.document = faces, told
    app.state.turned_away = turned_away.count
    app.state.together = None  # one worker among others sets it
    # What a request may have to wait for, a cache or who asks, is waited for on the way of ASGI.
    at_once = "model:predict" in who.everybody
    fixed = (
        {b"/predict": EdgeRoute(predict, least, pages, "/predict", telemetry.tracer)}
        if at_once and service.cached is None
        else {}
    )
    joint = JointInference(service.follower.joins, config.batching, service.joint.sizes)
    routes = inference if at_once and config.inference_exposed else None
    quick = QuickPaths(fixed, routes, least, pages, joint, telemetry.tracer)
    app.state.quick = service.admitted(quick)
    return app
