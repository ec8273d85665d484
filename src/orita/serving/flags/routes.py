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
from orita.serving.http.any_text import ANY
from orita.serving.http.body import read_body
from orita.serving.http.decoding import given_request_id
from orita.serving.http.failure import failure
from orita.serving.http.refusal import Refused

__all__ = ["PREFIX", "FlagRoutes"]

PREFIX = "/ofrep/v1/evaluate/flags"

_JSON = "application/json"
_NO_JSON = GeneralFailure("PARSE_ERROR", 'the body is not JSON: send {"context": {"targetingKey": "…"}}.')

MOST_BYTES, MOST_LETTERS, MOST_ELEMENTS = 65_536, 1_024, 256
"""Of a body, of a text of the context, of a list of it: flags are evaluated between predictions."""


class FlagRoutes:
    """Answers the protocol.

    Args:
        flags: returns the flags as they are now, None while they were never read.
        max_body: the longest body of any request, in bytes; here it is 64 KiB at most.
    """

    def __init__(self, flags: Callable[[], FlagSet | None], *, max_body: int) -> None:
        self._flags, self._max_body = flags, min(max_body, MOST_BYTES)
        self.routes = [
            Route(PREFIX, partial(self._answered, self._all), methods=["POST"]),
            Route(f"{PREFIX}/{{key:{ANY}}}", partial(self._answered, self._one), methods=["POST"]),
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
                return _told(400, _NO_JSON, request_id)
            too_much = _too_much(asked)
            if too_much is not None:
                return _told(400, GeneralFailure("INVALID_CONTEXT", too_much), request_id)
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
        return evaluate_flag(self._ready(), request.path_params["key"], asked)

    def _all(self, request: Request, asked: Any) -> OfrepAnswer:
        return evaluate_flags(self._ready(), asked, request.headers.get("if-none-match"))

    def _ready(self) -> FlagSet:
        flags = self._flags()
        if flags is None:
            raise Refused(503, "flags_not_read", "the flags could not be read yet: ask again.", retry_after=1)
        return flags


def _too_much(asked: Any) -> str | None:
    """Return what of a context is more than a request may bring, as a sentence: each condition looks at all of it."""
    context = asked.get("context") if isinstance(asked, dict) else None
    for name, value in context.items() if isinstance(context, dict) else ():
        if isinstance(value, str) and len(value) > MOST_LETTERS:
            return f"the attribute {name[:80]!r} has {len(value):,} characters, allowed are {MOST_LETTERS:,}."
        if isinstance(value, list) and (len(value) > MOST_ELEMENTS or any(map(_is_long, value))):
            return f"the attribute {name[:80]!r} is a list of more than {MOST_ELEMENTS} elements, or of long texts."
    return None


def _is_long(element: object) -> bool:
    return isinstance(element, list | dict) or (isinstance(element, str) and len(element) > MOST_LETTERS)


def _refusal(refused: Refused, request_id: str) -> Response:
    answer = _told(refused.status, GeneralFailure.of(refused), request_id)
    if refused.retry_after is not None:
        answer.headers["retry-after"] = str(refused.retry_after)
    return answer


def _told(status: int, said: GeneralFailure, request_id: str) -> Response:
    return Response(msgspec.json.encode(said), status, {"x-request-id": request_id}, media_type=_JSON)
