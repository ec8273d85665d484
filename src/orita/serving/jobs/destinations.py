"""Who may be called: declared hosts at declared ports, and of their addresses only those that are public or declared.

A server that posts where callers say is a way into the network that it stands in (server-side request forgery). So a
URL is judged twice: when a job is taken in, by its scheme, host and port; and at each connection, by the address that
the name has then, which is the address that is connected to.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from orita.serving.http.refusal import Refused
from orita.serving.jobs.config import CallbackConfig

__all__ = ["Destination", "Destinations"]

_PORTS = {"http": 80, "https": 443}
_MOST_LENGTH = 2048

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a callback goes: scheme, host, port, and path with query."""

    scheme: str
    host: str
    port: int
    target: str


class Destinations:
    """Judges URLs and addresses."""

    def __init__(self, config: CallbackConfig) -> None:
        self._hosts = frozenset(config.hosts)
        self._networks = tuple(map(ipaddress.ip_network, config.networks))

    def parse(self, url: str) -> Destination:
        """Return where *url* leads.

        Raises:
            Refused: 422, it is no URL, or nobody may be called there.
        """
        if len(url) > _MOST_LENGTH or not url.isascii() or not url.isprintable() or " " in url:
            raise _wrong(url, f"allowed are up to {_MOST_LENGTH} printable ASCII characters without blanks")
        try:
            parts = urlsplit(url)
            host, given = parts.hostname or "", parts.port
        except ValueError:
            raise _wrong(url, "expected is a URL such as https://hooks.example.org/results") from None
        if parts.scheme not in _PORTS or not host:
            raise _wrong(url, "expected is a URL such as https://hooks.example.org/results")
        if "@" in parts.netloc or parts.fragment:
            raise _wrong(url, "allowed are a scheme, a host, a port, a path and a query")
        named = f"[{host}]" if ":" in host else host
        port = _PORTS[parts.scheme] if given is None else given
        if f"{named}:{port}" not in self._hosts and not (port in _PORTS.values() and named in self._hosts):
            raise Refused(
                422,
                "callback_not_allowed",
                f"callback_url leads to {named}:{port}, which this server may not call: "
                "its operator can name the host in serving.jobs.callbacks.hosts; or leave callback_url out, and ask.",
            )
        query = f"?{parts.query}" if parts.query else ""
        return Destination(parts.scheme, host, port, f"{parts.path or '/'}{query}")

    def allows(self, address: str) -> bool:
        """Return whether *address*, that of a host that may be called, is public or in a declared network."""
        found: _Address = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        if any(found in network for network in self._networks):
            return True
        return found.is_global and not found.is_multicast and not _embeds(found)


def _embeds(address: _Address) -> bool:
    """Return whether an IPv6 address stands for an IPv4 one behind a gateway: NAT64, 6to4 or Teredo."""
    if isinstance(address, ipaddress.IPv4Address):
        return False
    return address in _NAT64 or address.sixtofour is not None or address.teredo is not None


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def _wrong(url: str, allowed: str) -> Refused:
    shown = url if len(url) <= 80 else f"{url[:80]}…"
    return Refused(422, "invalid_value", f"callback_url has the value {shown!r}: {allowed}.")
