"""Whole answers, and routes that give them within a call: what the short way through the server is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from orita.serving.http.refusal import Refused, encode_error
from orita.serving.resilience.turnstile import Company

__all__ = ["Headers", "QuickRoute", "QuickRoutes", "Reply", "refusal_reply"]

Headers = Sequence[tuple[bytes, bytes]]


class Reply(NamedTuple):
    """An answer: its status, headers beside type and length, content, and the content's type."""

    status: int
    headers: Headers
    content: bytes
    content_type: bytes = b"application/json"


class QuickRoute(Protocol):
    """A route of the short way. One that inherits `enter` answers at once; others may let requests wait.

    Attributes:
        max_body: the longest body, in bytes.
    """

    __slots__ = ()

    max_body: int

    def company(self, body: bytes | bytearray, /) -> Company | None:
        """Return with whom a request may have its turn; None: it has it alone."""
        return None

    def reply(self, headers: Headers, body: bytes | bytearray) -> Reply:
        """Return the answer to a whole request; it raises nothing."""
        ...

    def refuse(self, refused: Refused, headers: Headers) -> Reply:
        """Return the answer to a request that cannot be had whole."""
        ...

    def enter(
        self, headers: Headers, body: bytes | bytearray, send: Callable[[Reply], None], is_gone: Callable[[], bool], /
    ) -> None:
        """Give the answer to *send*, within the call or later; never where *is_gone* says that the caller hung up."""
        send(self.reply(headers, body))


class QuickRoutes(Protocol):
    """Finds quick routes; the method is POST. What inherits `early` refuses nothing before it was read.

    Attributes:
        fixed: the routes that are always there, by their path.
    """

    fixed: Mapping[bytes, QuickRoute]

    def route(self, path: bytes, headers: Headers, /) -> QuickRoute | None:
        """Return the route of a request that may be answered within the call, None where none may."""
        ...

    def early(self, data: bytes, /) -> bytes | None:
        """Return the refusal of *data*, which came between two requests; None where it is to be read."""
        return None


def refusal_reply(refused: Refused, request_id: str) -> Reply:
    """Return *refused* as the documented error."""
    headers = [(b"x-request-id", request_id.encode())]
    if refused.retry_after is not None:
        headers.append((b"retry-after", b"%d" % refused.retry_after))
    return Reply(refused.status, headers, encode_error(refused.code, refused.message, request_id))
