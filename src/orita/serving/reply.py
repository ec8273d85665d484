"""Whole answers, and routes that give them within a call: what the short way through the server is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from orita.serving.refusal import Refused, encode_error

__all__ = ["Headers", "QueueingRoute", "QuickRoute", "QuickRoutes", "Reply", "refusal_reply"]

Headers = Sequence[tuple[bytes, bytes]]


class Reply(NamedTuple):
    """An answer: its status, headers beside type and length, content, and the content's type."""

    status: int
    headers: Headers
    content: bytes
    content_type: bytes = b"application/json"


class QuickRoute(Protocol):
    """A route that answers within the call."""

    @property
    def max_body(self) -> int:
        """The longest body, in bytes."""
        ...

    def reply(self, headers: Headers, body: bytes | bytearray) -> Reply:
        """Return the answer to a whole request; it raises nothing."""
        ...

    def refuse(self, refused: Refused, headers: Headers) -> Reply:
        """Return the answer to a request that cannot be had whole."""
        ...


class QueueingRoute(QuickRoute, Protocol):
    """A quick route whose requests may wait for their turn; it is entered instead of asked for a reply."""

    def enter(
        self, headers: Headers, body: bytes | bytearray, send: Callable[[Reply], None], is_gone: Callable[[], bool]
    ) -> None:
        """Give the answer to *send*, within the call or later; never where *is_gone* says that the caller hung up."""
        ...


QuickRoutes = Mapping[bytes, QuickRoute]
"""The quick routes by their path; the method is POST."""


def refusal_reply(refused: Refused, request_id: str) -> Reply:
    """Return *refused* as the documented error."""
    headers = [(b"x-request-id", request_id.encode())]
    if refused.retry_after is not None:
        headers.append((b"retry-after", b"%d" % refused.retry_after))
    return Reply(refused.status, headers, encode_error(refused.code, refused.message, request_id))
