"""The body of a request, as far as it may be long."""

from __future__ import annotations

from starlette.types import Receive

from orita.serving.http.compression import check_not_encoded
from orita.serving.http.refusal import body_too_large
from orita.serving.http.reply import Headers

__all__ = ["read_body"]


async def read_body(receive: Receive, headers: Headers, most: int) -> bytes | bytearray | None:
    """Return the whole body, None where the caller hung up before that.

    Args:
        receive: gives the pieces.
        headers: of the request; what they say of its length is believed where it is too long.
        most: bytes that are allowed.

    Raises:
        Refused: 413, the body is longer; 415, it is compressed.
    """
    check_not_encoded(headers)
    _check(next((int(value) for name, value in headers if name == b"content-length" and value.isdigit()), 0), most)
    message = await receive()
    if message["type"] == "http.disconnect":
        return None
    first: bytes = message.get("body", b"")
    _check(len(first), most)
    if not message.get("more_body", False):
        return first
    body = bytearray(first)
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        _check(len(body), most)
    return body


def _check(length: int, most: int) -> None:
    if length > most:
        raise body_too_large(most)
