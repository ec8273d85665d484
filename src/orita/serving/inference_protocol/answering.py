"""Answers of the protocol over REST in bytes: what every path of it has in common, by either way through the server."""

from __future__ import annotations

import traceback

import msgspec
import structlog

from orita.core.ids import uuid7
from orita.serving.http.decoding import check_request_id
from orita.serving.http.refusal import Refused, internal_error
from orita.serving.http.reply import Headers
from orita.serving.inference_protocol.messages import InferenceError

__all__ = ["BINARY", "JSON", "JSON_LENGTH", "Answer", "failed", "json_length", "refusal", "request_id_of"]

_log = structlog.stdlib.get_logger("orita.serving")

JSON_LENGTH = "Inference-Header-Content-Length"
JSON, BINARY = b"application/json", b"application/octet-stream"
_JSON_LENGTH = JSON_LENGTH.lower().encode()

Answer = tuple[int, bytes, list[tuple[bytes, bytes]]]
"""Status, body, and headers beside its type and length."""


def request_id_of(headers: Headers) -> str:
    """Return the id that a request gives itself, or a new one.

    Raises:
        Refused: it holds other characters than it may.
    """
    for name, value in headers:
        if name == b"x-request-id":
            return check_request_id(value)
    return uuid7()


def refusal(refused: Refused) -> Answer:
    """Return *refused* as the protocol has errors."""
    headers = [] if refused.retry_after is None else [(b"retry-after", b"%d" % refused.retry_after)]
    if refused.status == 413:
        headers.append((b"connection", b"close"))  # what is left of the body is not worth reading
    status = 400 if refused.status == 422 else refused.status  # the protocol knows no other for a wrong request
    return status, msgspec.json.encode(InferenceError(refused.message)), headers


def failed(error: Exception, request_id: str) -> Answer:
    """Return the answer to a request that failed: the caller gets the protocol's form, the log the trace."""
    trace = "".join(traceback.format_exception(error))
    _log.error("inference_failed", alert=True, request_id=request_id, error=repr(error), trace=trace)
    return refusal(internal_error())


def json_length(headers: Headers) -> int | None:
    """Return how long the JSON of a request is, None where nothing follows it.

    Raises:
        Refused: 400, the header is no length.
    """
    for name, value in headers:
        if name == _JSON_LENGTH:
            if not value.isdigit() or len(value) > 18:
                raise Refused(400, "invalid_value", f"{JSON_LENGTH} has the value {value[:40]!a}, no length.")
            return int(value)
    return None
