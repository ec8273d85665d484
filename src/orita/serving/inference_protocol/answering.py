"""Answers of the protocol over REST in bytes: what every path of it has in common, by either way through the server."""

from __future__ import annotations

import msgspec

from orita.core.ids import uuid7
from orita.serving.http.decoding import given_request_id
from orita.serving.http.failure import failure
from orita.serving.http.refusal import Refused
from orita.serving.http.reply import Headers
from orita.serving.inference_protocol.messages import InferenceError

__all__ = ["BINARY", "JSON", "JSON_LENGTH", "Answer", "failed", "json_length", "refusal", "request_id_of"]

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
    return given_request_id(headers) or uuid7()


def refusal(refused: Refused) -> Answer:
    """Return *refused* as the protocol has errors."""
    headers = [] if refused.retry_after is None else [(b"retry-after", b"%d" % refused.retry_after)]
    if refused.status == 413:
        headers.append((b"connection", b"close"))  # what is left of the body is not worth reading
    status = 400 if refused.status == 422 else refused.status  # the protocol knows no other for a wrong request
    return status, msgspec.json.encode(InferenceError(refused.message)), headers


def failed(error: Exception, request_id: str) -> Answer:
    """Return the answer to a request that failed: the caller gets the protocol's form, the log the trace."""
    return refusal(failure("inference_failed", error, request_id=request_id))


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
