"""Sends attempts over pooled connections: one transport that blocks, one for event loops, and nothing else of both."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable

import httpcore2

from orita.client.address import Address
from orita.client.deadline import WATCH, AsyncDeadlineBackend, DeadlineBackend, Watch
from orita.client.exchange import Attempt, Broken, Reply

__all__ = ["AsyncTransport", "Transport"]

_IDLE_SECONDS = (
    4.0  # a server of Orita closes a connection that was idle for 5: be first, and not in the middle of a request
)
_MOST_BYTES = 256 * 1024 * 1024


class _TooLong(Exception):
    """An answer that has no end, or nearly none."""


class Transport:
    """Sends and blocks; may be shared by threads.

    Args:
        address: where to.
        tls: how certificates are checked; None without TLS.
        connections: most at once; further requests wait for one.
    """

    def __init__(self, address: Address, tls: ssl.SSLContext | None, connections: int) -> None:
        self._address = address
        self._pool = httpcore2.ConnectionPool(
            ssl_context=tls,
            max_connections=connections,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=DeadlineBackend(),
        )

    def send(self, attempt: Attempt) -> Reply | Broken:
        """Send *attempt*; return its answer, or why there is none."""
        watch = Watch(time.monotonic() + attempt.seconds)
        token = WATCH.set(watch)
        try:
            response = self._pool.handle_request(_request(self._address, attempt))
            watch.headed = True
            try:
                body = bytearray()
                assert isinstance(response.stream, Iterable)
                for piece in response.stream:
                    _extend(body, piece)
            finally:
                response.close()
        except _FAILURES as error:
            return _broken(error, watch)
        finally:
            WATCH.reset(token)
        return _reply(response, body)

    def pause(self, seconds: float) -> None:
        """Let *seconds* pass."""
        time.sleep(seconds)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


class AsyncTransport:
    """Sends from an event loop; otherwise like `Transport`."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None, connections: int) -> None:
        self._address = address
        self._backend = AsyncDeadlineBackend()
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=connections,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=self._backend,
        )

    async def send(self, attempt: Attempt) -> Reply | Broken:
        """Send *attempt*; return its answer, or why there is none."""
        watch = Watch(time.monotonic() + attempt.seconds)
        token = WATCH.set(watch)
        try:
            response = await self._pool.handle_async_request(_request(self._address, attempt))
            watch.headed = True
            try:
                body = bytearray()
                async for piece in response.aiter_stream():
                    _extend(body, piece)
            finally:
                await response.aclose()
        except _FAILURES as error:
            return _broken(error, watch)
        finally:
            WATCH.reset(token)
        return _reply(response, body)

    async def pause(self, seconds: float) -> None:
        """Let *seconds* pass."""
        await self._backend.sleep(seconds)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.aclose()


_FAILURES = (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError, _TooLong)


def _request(address: Address, attempt: Attempt) -> httpcore2.Request:
    call = attempt.call
    url = httpcore2.URL(
        scheme=address.scheme, host=address.host, port=address.port, target=f"{address.prefix}{call.path}"
    )
    timeouts = {"pool": attempt.seconds}  # all others are the deadline's
    return httpcore2.Request(
        call.method, url, headers=attempt.headers, content=call.body, extensions={"timeout": timeouts}
    )


def _extend(body: bytearray, piece: bytes) -> None:
    body += piece
    if len(body) > _MOST_BYTES:
        raise _TooLong(f"the answer has more than {_MOST_BYTES} bytes")


def _reply(response: httpcore2.Response, body: bytearray) -> Reply:
    return Reply(response.status, {name.lower(): value for name, value in response.headers}, bytes(body))


def _broken(error: Exception, watch: Watch) -> Broken:
    told = str(error) or type(error).__name__
    if watch.distrust:
        return Broken("untrusted", watch.distrust)
    kind = "late" if isinstance(error, httpcore2.TimeoutException) else "lost"
    if isinstance(error, _TooLong) or (isinstance(error, httpcore2.ProtocolError) and watch.began and not watch.headed):
        kind = "garbled"
    return Broken(kind, told, watch.began, watch.reused)
