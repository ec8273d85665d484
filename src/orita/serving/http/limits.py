"""What one connection may ask of a server."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HttpLimits"]


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What a connection may ask for.

    Attributes:
        head_bytes: of the request line and all headers.
        request_seconds: from the first byte of a request to its last; a new connection has as long to begin, and who
            is answered to go on reading.
        connections: open at once; the next is told to come back.
    """

    head_bytes: int = 32 * 1024
    request_seconds: float = 30.0
    connections: int = 10_000
