"""``/v2``: the Open Inference Protocol over REST, as routes for a Starlette router.

The specification: https://github.com/kserve/open-inference-protocol, ``specification/protocol/inference_rest.md``; for
binary data, https://github.com/triton-inference-server/server, ``docs/protocol/extension_binary_data.md``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from orita.core.ids import uuid7
from orita.core.version import VERSION
from orita.serving.http.any_text import ANY
from orita.serving.http.body import read_body
from orita.serving.http.refusal import Refused
from orita.serving.inference_protocol.answering import (
    BINARY,
    JSON,
    JSON_LENGTH,
    Answer,
    failed,
    json_length,
    refusal,
    request_id_of,
)
from orita.serving.inference_protocol.asking import Asked, Asking
from orita.serving.inference_protocol.inference import PLATFORM, outputs_of
from orita.serving.inference_protocol.messages import (
    InferenceRequest,
    ModelMetadata,
    ModelReady,
    ServerHealth,
    ServerMetadata,
    TensorDescription,
    answered,
    decoded,
)
from orita.serving.inference_protocol.models import ModelSource
from orita.serving.resilience.admitted import said_deadline
from orita.serving.resilience.deadline import until
from orita.serving.resilience.parts import Parts

__all__ = ["EXTENSIONS", "SERVER_NAME", "InferenceRoutes"]

SERVER_NAME = "orita"
EXTENSIONS = ("binary_tensor_data",)


class InferenceRoutes:
    """Answers the protocol.

    Args:
        source: which models there are.
        parts: what keeps the server up.
        max_body: the longest body, in bytes.

    Attributes:
        source: which models there are.
        max_body: the longest body, in bytes.
        requests: how often which route was answered with which HTTP status.
        grpc_port: where the protocol is answered over gRPC; None where it is not.
    """

    def __init__(self, source: ModelSource, parts: Parts, *, max_body: int) -> None:
        self.source, self._parts = source, parts
        self._asking = Asking(source, parts)
        self.max_body = max_body
        self.grpc_port: int | None = None
        self.requests: Counter[tuple[str, int]] = Counter()
        model, one = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"
        gets: list[tuple[str, str, Callable[[Request], Awaitable[tuple[msgspec.Struct, int]]]]] = [
            ("server", "/v2", self._server),
            ("server", "/v2/", self._server),
            ("live", "/v2/health/live", self._live),
            ("ready", "/v2/health/ready", self._ready),
            *(("model_ready", f"{path}/ready", self._model_ready) for path in (model, one)),
            *(("model", path, self._model) for path in (model, one)),
        ]
        named = [Route(f"{path}/infer", _Infer(self), methods=["POST"]) for path in (model, one)]
        named += [Route(path, self._get(name, answer), methods=["GET"]) for name, path, answer in gets]
        unknown = _Unknown(self, named)
        self.routes = [*named, Route("/v2", unknown), Route(f"/v2/{{rest:{ANY}}}", unknown)]

    def _get(
        self, name: str, answer: Callable[[Request], Awaitable[tuple[msgspec.Struct, int]]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def get(request: Request) -> Response:
            async def told() -> Answer:
                with until(said_deadline(self._parts, request.headers.raw, self._parts.clock.monotonic())):
                    content, status = await answer(request)
                return status, msgspec.json.encode(content), []

            status, content, headers = await self.guarded(name, request.scope, told)
            return Response(content, status, {key.decode(): value.decode() for key, value in headers})

        return get

    async def guarded(self, name: str, scope: Scope, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return what *work* answers, or its refusal in the form of the protocol, with the request's id; count it."""
        request_id = ""
        try:
            request_id = request_id_of(scope["headers"])
            status, content, headers = await work()
        except Refused as refused:
            request_id = request_id or uuid7()
            status, content, headers = refusal(refused)
        except Exception as error:  # the edge: `failed` tells the log
            status, content, headers = failed(error, request_id)
        self.requests[name, status] += 1
        if not any(key == b"content-type" for key, _ in headers):
            headers.append((b"content-type", JSON))
        headers.append((b"x-request-id", request_id.encode()))
        return status, content, headers

    async def infer(self, scope: Scope, receive: Receive) -> Answer:
        """Return the answer to ``…/infer``.

        Raises:
            Refused: there is none.
        """
        body = await read_body(receive, scope["headers"], self.max_body)
        if body is None:
            return 499, b"", []  # the caller hung up; nobody reads this
        parameters = scope["path_params"]
        name, version, headers = parameters["name"], parameters.get("version"), scope["headers"]

        def decode() -> Asked[InferenceRequest]:
            request, inputs = decoded(body, json_length(headers))
            return Asked(inputs, [output.name for output in request.outputs], request)

        package, asked, outputs = await self._asking.answer(name, version, headers, decode)
        content, json_bytes = answered(asked.request, name, package.version, outputs)
        if json_bytes is None:
            return 200, content, []
        return 200, content, [(b"content-type", BINARY), (JSON_LENGTH.lower().encode(), b"%d" % json_bytes)]

    async def _server(self, _: Request) -> tuple[msgspec.Struct, int]:
        return ServerMetadata(SERVER_NAME, VERSION, EXTENSIONS), 200

    async def _live(self, _: Request) -> tuple[msgspec.Struct, int]:
        return ServerHealth(live=True, ready=self._asking.source.ready), 200

    async def _ready(self, _: Request) -> tuple[msgspec.Struct, int]:
        ready = self._asking.source.ready
        return ServerHealth(live=True, ready=ready), 200 if ready else 503

    async def _model_ready(self, request: Request) -> tuple[msgspec.Struct, int]:
        name = request.path_params["name"]
        ready = await self._asking.is_ready(name, request.path_params.get("version"))
        return ModelReady(name, ready), 200 if ready else 503

    async def _model(self, request: Request) -> tuple[msgspec.Struct, int]:
        name = request.path_params["name"]
        package = await self._asking.model(name, request.path_params.get("version"))
        inputs = [TensorDescription(*tensor) for tensor in await self._asking.inputs(package)]
        outputs = [TensorDescription(*tensor) for tensor in outputs_of(package)]
        return ModelMetadata(name, self._asking.versions(name), PLATFORM, inputs, outputs), 200


class _Infer:
    """``…/infer`` as an ASGI application of its own: no request object, no response object."""

    def __init__(self, routes: InferenceRoutes) -> None:
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._routes.guarded("infer", scope, partial(self._routes.infer, scope, receive))
        await _send(send, answer)


class _Unknown:
    """Every other path below ``/v2``, and every other method: an error in the form of the protocol."""

    def __init__(self, routes: InferenceRoutes, named: list[Route]) -> None:
        self._routes, self._named = routes, named

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def refuse() -> Answer:
            methods = {m for route in self._named if route.path_regex.match(scope["path"]) for m in route.methods or ()}
            where = f"{scope['method']} {scope['path'][:200]}"
            if not methods:
                return refusal(Refused(404, "not_found", f"{where}: the Open Inference Protocol has no such path."))
            allowed = ", ".join(sorted(methods))
            status, content, headers = refusal(Refused(405, "method_not_allowed", f"{where}: allowed are {allowed}."))
            return status, content, [*headers, (b"allow", allowed.encode())]

        await _send(send, await self._routes.guarded("unknown", scope, refuse))


async def _send(send: Send, answer: Answer) -> None:
    status, content, headers = answer
    headers = [*headers, (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
