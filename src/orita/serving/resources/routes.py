"""``/api/v1/models``: models as resources, each answer in the envelope."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orita.core.clock import Clock
from orita.core.ids import uuid7
from orita.serving.access.gate import caller_of
from orita.serving.config import ServingConfig
from orita.serving.http.any_text import ANY
from orita.serving.http.body import read_body
from orita.serving.http.decoding import BodyDecoder, given_request_id
from orita.serving.http.envelope import Envelopes
from orita.serving.http.refusal import Refused
from orita.serving.predict.requests import RequestDecoder
from orita.serving.resources.known import Stage
from orita.serving.resources.messages import ModelPage, ModelUpdate, model_of, page_of
from orita.serving.resources.models import Models
from orita.serving.telemetry.metrics import ServingMetrics

__all__ = ["PREFIX", "ModelRoutes"]

PREFIX = "/api/v1/models"
STAGES = get_args(Stage)
_HIDDEN = (
    f"{PREFIX} is off on this server, since it tells of models and answers anybody: set serving.expose_models to true "
    "where only those can ask who may."
)

Work = Callable[[Request, str], Awaitable[Response]]


class ModelRoutes:
    """Answers what is asked of models.

    Args:
        models: knows them.
        config: what is allowed.
        clock: tells the time.
        metrics: where predictions are counted.
    """

    def __init__(self, models: Models, config: ServingConfig, clock: Clock, metrics: ServingMetrics) -> None:
        self._models, self._metrics, self._clock = models, metrics, clock
        self._on, self._max_body = config.models_exposed, config.max_body_bytes
        self._asked = RequestDecoder(config)
        self._update = BodyDecoder(ModelUpdate, "description and tags")
        self._envelopes = Envelopes(clock)

    @property
    def routes(self) -> list[Route]:
        """The routes, for a Starlette router."""
        one = f"{PREFIX}/{{model_id}}"
        named = [
            Route(PREFIX, partial(self._answered, self._list), methods=["GET"]),
            Route(one, partial(self._answered, self._get), methods=["GET"]),
            Route(one, partial(self._answered, self._put), methods=["PUT"]),
            Route(one, partial(self._answered, self._delete), methods=["DELETE"]),
            Route(f"{one}/predict", partial(self._answered, self._predict), methods=["POST"]),
        ]
        other = partial(self._answered, partial(self._other, named))
        methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD", "QUERY"]
        return [*named, *(Route(path, other, methods=methods) for path in (PREFIX, f"{PREFIX}/{{rest:{ANY}}}"))]

    async def _answered(self, work: Work, request: Request) -> Response:
        """Return what *work* answers, or the refusal in its documented form."""
        request_id = uuid7(self._clock)
        try:
            request_id = given_request_id(request.headers.raw) or request_id
            if not self._on:
                raise Refused(404, "models_hidden", _HIDDEN)
            answer = await work(request, request_id)
        except Refused as refused:
            answer = self._envelopes.refused(refused, request_id)
        return answer

    async def _list(self, request: Request, request_id: str) -> Response:
        asked = request.query_params
        page = page_of(asked.get("limit"), asked.get("offset"))
        stage = next((stage for stage in STAGES if stage == asked.get("stage")), None)
        if stage is None and "stage" in asked:
            message = f"stage has the value {asked['stage'][:40]!r}, allowed are {', '.join(STAGES)}."
            raise Refused(422, "invalid_value", message)
        models, total = await self._models.all(page, stage)
        end = page.offset + len(models)
        found = ModelPage(
            models=[model_of(model) for model in models],
            total=total,
            limit=page.limit,
            offset=page.offset,
            next_offset=end if models and end < total else None,
        )
        return self._envelopes.success(found, f"{len(models)} of {total} models.", request_id)

    async def _get(self, request: Request, request_id: str) -> Response:
        model = await self._models.get(request.path_params["model_id"])
        message = f"{model.version} of {model.system}, {model.stage}."
        return self._envelopes.success(model_of(model), message, request_id)

    async def _put(self, request: Request, request_id: str) -> Response:
        caller = caller_of(request.scope)
        body = await read_body(request.receive, request.headers.raw, self._max_body)
        if body is None:
            return Response(status_code=499)  # the caller hung up; nobody reads this
        update = self._update(body)
        model = await self._models.update(request.path_params["model_id"], update, caller, request_id)
        return self._envelopes.success(model_of(model), f"{model.version} is changed: {model.stage}.", request_id)

    async def _delete(self, request: Request, request_id: str) -> Response:
        caller = caller_of(request.scope)
        model = await self._models.retire(request.path_params["model_id"], caller)
        message = f"{model.version} is retired; its package stays, and the stage 'available' takes it back."
        return self._envelopes.success(model_of(model), message, request_id)

    async def _predict(self, request: Request, request_id: str) -> Response:
        body = await read_body(request.receive, request.headers.raw, self._max_body)
        if body is None:
            return Response(status_code=499)
        asked, headers = self._asked(body), request.headers.raw
        answer = await self._models.predict(request.path_params["model_id"], asked, request_id, headers)
        self._metrics.answered(len(answer.predictions), answer.latency_ms)
        return self._envelopes.success(answer, f"{len(answer.predictions)} predictions.", request_id)

    async def _other(self, named: list[Route], request: Request, request_id: str) -> Response:
        """Refuse every other path, and every other method."""
        path, where = request.url.path, f"{request.method[:20]} {request.url.path[:200]}"
        methods = sorted({m for route in named if route.path_regex.match(path) for m in route.methods or ()})
        if not methods:
            raise Refused(404, "not_found", f"{where}: there is no such path.")
        message = f"{where}: allowed are {', '.join(methods)}."
        answer = self._envelopes.refused(Refused(405, "method_not_allowed", message), request_id)
        answer.headers["allow"] = ", ".join(methods)
        return answer
