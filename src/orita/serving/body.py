"""The body of a request, as far as it may be long."""

from __future__ import annotations

from starlette.types import Receive

from orita.serving.refusal import Refused

__all__ = ["read_body"]


async def read_body(receive: Receive, length: int, most: int) -> bytes | bytearray | None:
    """Return the whole body, None where the caller hung up before that.

    Args:
        receive: gives the pieces.
        length: what the header says, 0 where it says nothing.
        most: bytes that are allowed.

    Raises:
        Refused: 413, the body is longer.
    """
    _check(length, most)
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
        raise Refused(413, "body_too_large", f"the body has more than {most} bytes: split the request.")
