"""The Open Inference Protocol of a server, wired: its routes, and gRPC beside them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orita.serving.access.callers import Callers
from orita.serving.http.error_answers import request_id_of
from orita.serving.http.face import Face
from orita.serving.http.refusal import Refused
from orita.serving.inference_protocol.answering import JSON, refusal
from orita.serving.inference_protocol.grpc_listening import check_grpc, grpc_listening
from orita.serving.inference_protocol.openapi import describe_inference
from orita.serving.inference_protocol.routes import InferenceRoutes
from orita.serving.service import Service
from orita.serving.status import ready_answer

__all__ = ["mounted_inference"]


_HIDDEN = (
    "/v2 is off on this server, since it tells the names of features and answers anybody: set serving.expose_inference "
    "to true where only those can ask who may."
)


async def _hidden(request: Request) -> Response:
    status, content, _ = refusal(Refused(404, "inference_hidden", _HIDDEN))
    return Response(content, status, {"x-request-id": request_id_of(request)}, media_type=JSON.decode())


def mounted_inference(service: Service, routes: InferenceRoutes, callers: Callers) -> Face:
    """Return the face of *routes*, not started yet; one that says so where the protocol is off.

    While it runs, ``routes.grpc_port`` says where gRPC answers.

    Raises:
        MissingExtra, UserError: gRPC is wanted, and not installed, or cannot listen where it should.
    """
    config = service.config
    check_grpc(config)
    if not config.inference_exposed:
        return Face([Route(path, _hidden, methods=["GET", "POST"]) for path in ("/v2", "/v2/{rest:path}")])

    def ready() -> bool:
        return ready_answer(service).status == "ok"

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with grpc_listening(routes.source, config, callers, service.parts, ready) as port:
            routes.grpc_port = port
            yield

    return Face(routes.routes, [describe_inference], running)
