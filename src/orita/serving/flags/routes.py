"""``/ofrep/v1/evaluate/flags``: the OpenFeature Remote Evaluation Protocol, as routes for a Starlette router.

The specification: https://github.com/open-feature/protocol, ``service/openapi.yaml``. What is answered is made by
`orita.delivery.flags.ofrep`; here are the body, the headers, and what goes wrong before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orita.core.ids import uuid7
from orita.delivery.flags.flag_set import FlagSet
from orita.delivery.flags.ofrep import OfrepAnswer, evaluate_flag, evaluate_flags
from orita.serving.flags.messages import GeneralFailure
from orita.serving.http.body import read_body
from orita.serving.http.decoding import given_request_id
from orita.serving.http.failure import failure
from orita.serving.http.refusal import Refused

__all__ = ["PREFIX", "FlagRoutes"]

PREFIX = "/ofrep/v1/evaluate/flags"

_JSON = "application/json"
_NO_JSON = msgspec.json.encode(
    GeneralFailure("PARSE_ERROR", 'the body is not JSON: send {"context": {"targetingKey": "…"}}.')
)


class FlagRoutes:
    """Answers the protocol.

    Args:
        flags: returns the flags as they are now.
        max_body: the longest body, in bytes.
    """

    def __init__(self, flags: Callable[[], FlagSet], *, max_body: int) -> None:
        self._flags, self._max_body = flags, max_body
        self.routes = [
            Route(PREFIX, partial(self._answered, self._all), methods=["POST"]),
            Route(f"{PREFIX}/{{key:path}}", partial(self._answered, self._one), methods=["POST"]),
        ]

    async def _answered(self, work: Callable[[Request, Any], OfrepAnswer], request: Request) -> Response:
        """Return what *work* answers, or the refusal in the form of the protocol."""
        request_id = uuid7()
        try:
            request_id = given_request_id(request.headers.raw) or request_id
            body = await read_body(request.receive, request.headers.raw, self._max_body)
            try:
                asked = msgspec.json.decode(body or b"")
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return Response(_NO_JSON, 400, {"x-request-id": request_id}, media_type=_JSON)
            answer = work(request, asked)
        except Refused as refused:
            return _refusal(refused, request_id)
        except Exception as error:  # the edge: the log gets the trace
            return _refusal(failure("flags_failed", error, request_id=request_id), request_id)
        headers = {"x-request-id": request_id} | ({} if answer.etag is None else {"etag": answer.etag})
        if answer.document is None:
            return Response(None, answer.status, headers)
        return Response(msgspec.json.encode(answer.document), answer.status, headers, media_type=_JSON)

    def _one(self, request: Request, asked: Any) -> OfrepAnswer:
        return evaluate_flag(self._flags(), request.path_params["key"], asked)

    def _all(self, request: Request, asked: Any) -> OfrepAnswer:
        return evaluate_flags(self._flags(), asked, request.headers.get("if-none-match"))


def _refusal(refused: Refused, request_id: str) -> Response:
    content = msgspec.json.encode(GeneralFailure.of(refused))
    return Response(content, refused.status, {"x-request-id": request_id}, media_type=_JSON)
