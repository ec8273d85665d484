"""The envelope of the versioned API: every answer and every error has the same five fields."""

from __future__ import annotations

from datetime import datetime
from typing import Generic, Literal, TypeVar

import msgspec
from starlette.responses import Response

from orita.core.clock import Clock
from orita.serving.http.refusal import Refused

__all__ = ["Answered", "Envelopes", "Refusal"]

D = TypeVar("D")


class Answered(msgspec.Struct, Generic[D], frozen=True):
    """The envelope of an answer.

    Attributes:
        status: always ``success``.
        data: the answer.
        message: one sentence for people.
        timestamp: when it was given.
        request_id: the request's id, as in the header ``X-Request-Id``.
    """

    status: Literal["success"]
    data: D
    message: str
    timestamp: datetime
    request_id: str


class Refusal(msgspec.Struct, frozen=True):
    """The envelope of an error.

    Attributes:
        status: always ``error``.
        code: stable, for machines.
        data: always null.
        message: one sentence that says what was wrong with which field.
        timestamp: when it was given.
        request_id: the request's id, as in the header ``X-Request-Id``.
    """

    status: Literal["error"]
    code: str
    data: None
    message: str
    timestamp: datetime
    request_id: str


class Envelopes:
    """Puts answers into envelopes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._encode = msgspec.json.Encoder().encode

    def success(self, data: object, message: str, request_id: str, status: int = 200) -> Response:
        """Return the response that says *data*."""
        return self._response(Answered("success", data, message, self._clock.now(), request_id), status, request_id)

    def refused(self, refused: Refused, request_id: str) -> Response:
        """Return the response that says why there is none."""
        envelope = Refusal("error", refused.code, None, refused.message, self._clock.now(), request_id)
        answer = self._response(envelope, refused.status, request_id)
        if refused.retry_after is not None:
            answer.headers["retry-after"] = str(refused.retry_after)
        if refused.status == 413:
            answer.headers["connection"] = "close"  # what is left of the body is not worth reading
        return answer

    def _response(self, envelope: msgspec.Struct, status: int, request_id: str) -> Response:
        headers = {"x-request-id": request_id}
        return Response(self._encode(envelope), status, headers, media_type="application/json")
