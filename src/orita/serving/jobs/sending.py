"""Posts to declared hosts, over connections to addresses that were looked at: see `destinations`.

Nothing is followed: a redirect would lead where nobody looked. No proxy is used, and a connection serves one call.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Mapping

import anyio
import httpcore2

from orita.core.version import VERSION
from orita.serving.jobs.destinations import Destination, Destinations

__all__ = ["NotSent", "Sender"]


class NotSent(Exception):
    """There was no answer; the sentence says why."""


class Sender:
    """Posts, from an event loop.

    Args:
        destinations: judges addresses.
        seconds: for one call.
        at_once: calls at the same time.
    """

    def __init__(self, destinations: Destinations, seconds: float, at_once: int) -> None:
        self._seconds = seconds
        self._pool = httpcore2.AsyncConnectionPool(
            max_connections=at_once, max_keepalive_connections=0, network_backend=_LookedAt(destinations)
        )

    async def post(self, to: Destination, headers: Mapping[str, str], body: bytes) -> int:
        """Return the status of the answer to *body*; of the answer nothing else is read.

        Raises:
            NotSent: there is none in time.
        """
        url = httpcore2.URL(scheme=to.scheme, host=to.host, port=to.port, target=to.target)
        sent = [("content-type", "application/json"), ("user-agent", f"orita/{VERSION}"), *headers.items()]
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._pool.stream("POST", url, headers=sent, content=body) as response,
            ):
                return response.status
        except TimeoutError:
            raise NotSent(f"it did not answer within {self._seconds:g} s") from None
        except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise NotSent(str(error) or type(error).__name__) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.aclose()


class _LookedAt(httpcore2.AnyIOBackend):
    """Connects to the addresses of a name that are allowed, and to no other."""

    def __init__(self, destinations: Destinations) -> None:
        self._allows = destinations.allows

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first allowed address of *host* that answers."""
        failed = f"{host} has no address that this server may call: the operator can declare its network"
        for address in await _addresses(host, port):
            if not self._allows(address):
                continue
            try:
                return await super().connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore2.ConnectError as error:
                failed = f"{host} cannot be reached: {error}"
        raise httpcore2.ConnectError(failed)


async def _addresses(host: str, port: int) -> list[str]:
    try:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore2.ConnectError(f"{host} has no address: {error}") from None
    return list(dict.fromkeys(str(each[4][0]) for each in found))
