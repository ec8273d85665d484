"""Answers of the slow routes in their documented form, and what becomes of a request that no route takes.

Under ``/api/v1`` that form is the envelope.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orita.core.clock import Clock
from orita.core.ids import uuid7
from orita.serving.http.decoding import given_request_id
from orita.serving.http.envelope import Envelopes
from orita.serving.http.refusal import Refused, encode_error, internal_error

__all__ = ["error_answer", "exception_handlers", "json_answer", "request_id_of"]

_ENVELOPED = "/api/v1"
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}


def json_answer(request: Request, answer: msgspec.Struct | dict[str, Any], status: int = 200) -> Response:
    """Return *answer* as JSON, with the request's id."""
    headers = {"x-request-id": request_id_of(request)}
    return Response(msgspec.json.encode(answer), status, headers, media_type="application/json")


def error_answer(request: Request, refused: Refused) -> Response:
    """Return *refused* as the documented error."""
    request_id = request_id_of(request)
    content = encode_error(refused.code, refused.message, request_id)
    headers = {"x-request-id": request_id}
    if refused.retry_after is not None:
        headers["retry-after"] = str(refused.retry_after)
    return Response(content, refused.status, headers, media_type="application/json")


def request_id_of(request: Request) -> str:
    """Return the id that the caller gave, or a new one where it gave none that is allowed."""
    try:
        return given_request_id(request.headers.raw) or uuid7()
    except Refused:
        return uuid7()


def exception_handlers(clock: Clock) -> dict[Any, Callable[[Request, Exception], Awaitable[Response]]]:
    """Return, for Starlette, what answers where no route did: a path or a method that none has, and what broke."""
    envelopes = Envelopes(clock)

    def answered(request: Request, refused: Refused) -> Response:
        if request.url.path.startswith(_ENVELOPED):
            return envelopes.refused(refused, request_id_of(request))
        return error_answer(request, refused)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status, allowed = error.status_code, ", ".join(_allowed(request))
        why = {404: "there is no such path; /docs lists them", 405: f"the method is not allowed, use {allowed}"}
        message = f"{request.method} {request.url.path}: {why.get(status, error.detail)}."
        answer = answered(request, Refused(status, _CODES.get(status, "http_error"), message))
        answer.headers.update(error.headers or {})
        if status == 405:
            answer.headers["allow"] = allowed
        return answer

    async def failed(request: Request, _: Exception) -> Response:
        return answered(request, internal_error())

    return {HTTPException: refused, Exception: failed}


def _allowed(request: Request) -> list[str]:
    """Return the methods of all routes of the path; Starlette names those of the first alone."""
    every, path = request.app.router.routes, request.url.path
    routes = [route for route in every if isinstance(route, Route) and route.path_regex.match(path)]
    return sorted({method for route in routes for method in route.methods or ()})
