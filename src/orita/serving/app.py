"""The server as an ASGI application: predictions, what the server says of itself, and the feature store beside them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
import msgspec
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route

from orita.core.clock import Clock, SystemClock
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.models.package import load_package
from orita.serving.config import ServingConfig
from orita.serving.decoding import check_request_id
from orita.serving.edge import EdgeRoute, add_edges
from orita.serving.explain_openapi import describe_explanations
from orita.serving.explain_route import ExplainRequest, ExplainRoutes
from orita.serving.exposition import exposition, wants_exposition
from orita.serving.feature_openapi import describe_features
from orita.serving.feature_routes import FeatureRoutes
from orita.serving.feed.follower import RetrieverLoader
from orita.serving.feed.mounting import mounted_feed
from orita.serving.inference_protocol.grpc_listening import check_grpc, grpc_listening
from orita.serving.inference_protocol.openapi import describe_inference
from orita.serving.inference_protocol.quick import QuickPaths
from orita.serving.inference_protocol.routes import InferenceRoutes
from orita.serving.jobs.mounting import mounted_jobs
from orita.serving.models_in_memory import ModelsInMemory
from orita.serving.openapi import describe
from orita.serving.openapi_document import document
from orita.serving.predict_route import PredictRoute
from orita.serving.protocols import FeatureService, FeatureSource, PackageLoader
from orita.serving.refusal import Refused, encode_error, internal_error, no_model
from orita.serving.resources.known import ModelRegistry
from orita.serving.resources.mounting import mounted_models
from orita.serving.service import Service, build_service
from orita.serving.status import ProbeAnswer, config_answer, health_answer, live_answer, ready_answer

__all__ = ["create_app"]

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
_CONFIG_HIDDEN = "GET /config is off: it tells internals; set serving.expose_config to true to answer it."


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
) -> FastAPI:
    """Return the server of *system* as a FastAPI application.

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

    Raises:
        MissingExtra, UserError: gRPC is wanted, and not installed, or cannot listen where it should.

    The parts start and stop with the application's lifespan; ``app.state.service`` holds them, and
    ``app.state.quick`` the routes that `orita.serving.server` answers on the short way.
    """
    service = build_service(home, system, features, config or ServingConfig(), clock=clock or SystemClock(), load=load)
    around = service.around(store) if store is not None else None
    routes = FeatureRoutes(around, service.config, service.clock, service.metrics) if around is not None else None
    models = ModelsInMemory(
        system, service.follower, home.packages, load=load, config=service.config.models, clock=service.clock
    )
    feed = mounted_feed(home, system, service, features, load_retriever)
    jobs = mounted_jobs(home, system, service)
    faces = mounted_models(home, system, service, features, models, registry=registry)
    check_grpc(service.config)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with (
            service.running(),
            feed.running(),
            jobs.running(),
            grpc_listening(models, service.config, lambda: ready_answer(service).status == "ok") as grpc_port,
        ):
            app.state.inference_grpc_port = grpc_port
            try:
                yield
            finally:
                if routes is not None:
                    await routes.close()

    app = FastAPI(title="Orita", summary=f"Ranks items: {system}.", lifespan=lifespan)
    app.state.service = service
    app.state.together = None  # one worker among others sets it
    predict = PredictRoute(service)
    inference = InferenceRoutes(models, max_body=service.config.max_body_bytes)
    least, exposed = service.config.compress_bytes, service.config.inference_exposed
    quick = {b"/predict": EdgeRoute(predict, least)}
    app.state.quick = service.admitted(QuickPaths(quick, inference if exposed else None, least))
    add_edges(app, least)
    app.router.routes.insert(0, Route("/predict", predict, methods=["POST"]))
    app.router.routes.extend(routes.routes if routes is not None else ())
    if service.config.inference_exposed:
        app.router.routes.extend(inference.routes)
    if explain is not None:
        app.router.routes.extend(ExplainRoutes(home, system, explain, service.config, service.clock).routes)
    app.router.routes.extend(feed.routes)
    app.router.routes.extend(jobs.routes)
    app.router.routes.extend(faces.routes)
    _add_status(app, service)
    _add_errors(app)
    features_told = routes is not None and service.config.features_exposed
    described = [*feed.described, *jobs.described, *faces.described]
    _describe(app, service.config, described, features=features_told, explained=explain is not None)
    return app


def _add_status(app: FastAPI, service: Service) -> None:
    @app.get("/health", include_in_schema=False)
    async def health(request: Request) -> Response:
        answer, together = health_answer(service), app.state.together
        said = answer if together is None else together.health(answer)
        return _json(request, said, 503 if answer.model_version is None else 200)

    @app.get("/health/live", include_in_schema=False)
    async def live(request: Request) -> Response:
        return _probed(request, live_answer(service))

    @app.get("/health/ready", include_in_schema=False)
    async def ready(request: Request) -> Response:
        return _probed(request, ready_answer(service))

    @app.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        accept = request.headers.get("accept", "")
        together = app.state.together
        if not wants_exposition(accept):
            return _json(request, service.metrics.answer() if together is None else together.answer())
        await anyio.to_thread.run_sync(service.skew.refresh)
        content, content_type = exposition(service, accept) if together is None else together.exposition(accept)
        return Response(content, headers={"content-type": content_type, "x-request-id": _id_of(request)})

    @app.get("/config", include_in_schema=False)
    async def config(request: Request) -> Response:
        if not service.config.expose_config:
            return _error(request, Refused(404, "config_hidden", _CONFIG_HIDDEN))
        champion = service.follower.champion
        if champion is None:
            return _error(request, no_model())
        return _json(request, config_answer(champion))


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        message = f"{request.method} {request.url.path}: {error.detail}."
        code = _CODES.get(error.status_code, "http_error")
        answer = _error(request, Refused(error.status_code, code, message))
        answer.headers.update(error.headers or {})
        if error.status_code == 405:
            answer.headers["allow"] = ", ".join(_allowed(app, request.url.path))
        return answer

    @app.exception_handler(Exception)
    async def failed(request: Request, _error_: Exception) -> Response:
        return _error(request, internal_error())


def _allowed(app: FastAPI, path: str) -> list[str]:
    """Return the methods of all routes of *path*; Starlette names those of the first alone."""
    routes = [route for route in app.router.routes if isinstance(route, Route) and route.path_regex.match(path)]
    return sorted({method for route in routes for method in route.methods or ()})


def _describe(
    app: FastAPI, config: ServingConfig, mounted: Sequence[dict[str, Any]], *, features: bool, explained: bool
) -> None:
    described = [describe(config), *mounted]
    described += [describe_features(config)] if features else []
    described += [describe_inference()] if config.inference_exposed else []
    described += [describe_explanations()] if explained and config.explanations_exposed else []
    app.state.described = described

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document(app.title, app.summary or "", described)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _json(request: Request, answer: msgspec.Struct | dict[str, Any], status: int = 200) -> Response:
    headers = {"x-request-id": _id_of(request)}
    return Response(msgspec.json.encode(answer), status, headers, media_type="application/json")


def _probed(request: Request, answer: ProbeAnswer) -> Response:
    return _json(request, answer, 200 if answer.status == "ok" else 503)


def _error(request: Request, refused: Refused) -> Response:
    request_id = _id_of(request)
    content = encode_error(refused.code, refused.message, request_id)
    headers = {"x-request-id": request_id}
    if refused.retry_after is not None:
        headers["retry-after"] = str(refused.retry_after)
    return Response(content, refused.status, headers, media_type="application/json")


def _id_of(request: Request) -> str:
    given = request.headers.get("x-request-id")
    try:
        return check_request_id(given.encode("latin-1")) if given is not None else uuid7()
    except Refused:
        return uuid7()
