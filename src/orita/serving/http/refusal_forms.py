"""How a request is refused before it reaches its face: in the form that this face gives its errors."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from orita.core.clock import Clock
from orita.serving.flags.messages import GeneralFailure
from orita.serving.graphql.messages import GraphqlRefusal
from orita.serving.graphql.telling import told
from orita.serving.http.envelope import Envelopes
from orita.serving.http.refusal import Refused, encode_error
from orita.serving.inference_protocol.answering import refusal

__all__ = ["RefusalForms"]

_JSON = "application/json"


class RefusalForms:
    """Puts refusals into the form of errors that a path has.

    Args:
        clock: tells the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._envelopes = Envelopes(clock)

    def answer(self, path: str, refused: Refused, request_id: str) -> Response:
        """Return the answer that refuses a request to *path*."""
        answer = self._in_form(path, refused, request_id)
        answer.headers["x-request-id"] = request_id
        if refused.status == 401:
            answer.headers["www-authenticate"] = "Bearer"
        return answer

    def _in_form(self, path: str, refused: Refused, request_id: str) -> Response:
        if _is_below(path, "/api/v1"):
            return self._envelopes.refused(refused, request_id)
        if _is_below(path, "/v2"):
            status, content, _ = refusal(refused)
            return Response(content, status, media_type=_JSON)
        if _is_below(path, "/graphql"):
            content = msgspec.json.encode(GraphqlRefusal([told(refused, request_id)]))
            return Response(content, refused.status, media_type=_JSON)
        if _is_below(path, "/ofrep"):
            return Response(msgspec.json.encode(GeneralFailure.of(refused)), refused.status, media_type=_JSON)
        return Response(encode_error(refused.code, refused.message, request_id), refused.status, media_type=_JSON)


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}/")
