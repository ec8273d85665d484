"""Connections that keep to a deadline, however slowly the other side reads or writes.

Timeouts of sockets and of HTTP libraries are of one read: a server that sends a byte a second never exceeds one. So
each read and each write here is given what is left until the deadline of the request that it is for. Which request that
is, the connection is not told by the library above it, so it is kept in a context variable: a request is sent and its
answer read by one thread or one task.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpcore2

__all__ = ["WATCH", "AsyncDeadlineBackend", "DeadlineBackend", "Watch"]

_PIECE = 64 * 1024  # of a body, written under one timeout


@dataclass(slots=True)
class Watch:
    """What is seen of one attempt.

    Attributes:
        ends_at: monotonic seconds by which its answer must be whole.
        reused: whether no connection had to be made for it.
        began: whether some of its answer has come.
        headed: whether its status and headers have, which were those of HTTP then.
        distrust: why the server's certificate is refused; empty where it is not.
    """

    ends_at: float
    reused: bool = True
    began: bool = False
    headed: bool = False
    distrust: str = ""

    def left(self) -> float:
        """Return the seconds that are left.

        Raises:
            httpcore2.TimeoutException: there are none.
        """
        left = self.ends_at - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the deadline passed")
        return left

    def shook_hands_badly(self, error: httpcore2.ConnectError) -> None:
        """Note why, where it is the certificate; the libraries above hand on the error without its cause."""
        cause = error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            self.distrust = getattr(cause, "verify_message", "") or str(cause.args[0])


WATCH: ContextVar[Watch] = ContextVar("WATCH")
"""The attempt that this thread or task is at."""


class DeadlineBackend(httpcore2.SyncBackend):
    """Makes connections that block."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect by the deadline."""
        watch = WATCH.get()
        watch.reused = False
        return _Stream(super().connect_tcp(host, port, watch.left(), local_address, socket_options))


class _Stream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        watch = WATCH.get()
        data = self._inner.read(max_bytes, watch.left())
        watch.began = watch.began or bool(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            self._inner.write(buffer[start : start + _PIECE], WATCH.get().left())

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        watch = WATCH.get()
        try:
            return _Stream(self._inner.start_tls(ssl_context, server_hostname, watch.left()))
        except httpcore2.ConnectError as error:
            watch.shook_hands_badly(error)
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class AsyncDeadlineBackend(httpcore2.AnyIOBackend):
    """Makes connections of an event loop."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect by the deadline."""
        watch = WATCH.get()
        watch.reused = False
        return _AsyncStream(await super().connect_tcp(host, port, watch.left(), local_address, socket_options))


class _AsyncStream(httpcore2.AsyncNetworkStream):
    def __init__(self, inner: httpcore2.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        watch = WATCH.get()
        data = await self._inner.read(max_bytes, watch.left())
        watch.began = watch.began or bool(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._inner.write(buffer, WATCH.get().left())

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        watch = WATCH.get()
        try:
            return _AsyncStream(await self._inner.start_tls(ssl_context, server_hostname, watch.left()))
        except httpcore2.ConnectError as error:
            watch.shook_hands_badly(error)
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
