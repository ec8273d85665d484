"""What a browser sends for somebody else's page is refused, on every route.

A page that a developer looks at may send requests to servers that only the developer can reach: it cannot read the
answers, but an event that was pushed is pushed. Three things that a page cannot choose give it away.

- ``Origin`` and ``Sec-Fetch-Site``, which browsers set by themselves, say whose page asks.
- ``Host`` is the page's own name where its owner made that name point at this machine (DNS rebinding). Such a name is
  a public one: it has a dot, and is no address.
- A page that asks nobody first can say no type of body but those of forms and plain text. Here bodies are JSON. One
  type of forms is let through: ``curl -d`` and others say it of whatever they send, and a page's form says its
  ``Origin``.

Each is said once: whoever read another one of two would be told another story.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from orita.serving.access.loopback import is_loopback, name_of_host
from orita.serving.http.refusal import Refused
from orita.serving.http.reply import Headers

__all__ = ["WATCHED", "OwnPages"]

_HOST, _TYPE, _ORIGIN = b"host", b"content-type", b"origin"
_SITE, _MODE = b"sec-fetch-site", b"sec-fetch-mode"
WATCHED = frozenset((_HOST, _TYPE, _ORIGIN, _SITE))
"""The headers that may be a reason to refuse a request."""

_BODIES = frozenset(("POST", "PUT", "PATCH"))
_TYPES = frozenset((b"", b"application/json", b"application/octet-stream", b"application/x-www-form-urlencoded"))
_MOST_KNOWN = 256
_SHOWN = 80


class OwnPages:
    """Tells requests of other people's pages from all others.

    Args:
        host: the address that the server listens on.
        hosts: names by which callers know it, and whose pages may ask it.
        public: paths that pages of anybody may ask.

    Attributes:
        known: pairs of ``Host`` and ``Content-Type`` that were found to be no reason to refuse. A request whose watched
            headers are all among them needs no further look.
    """

    def __init__(self, host: str, hosts: Iterable[str] = (), public: Iterable[str] = ()) -> None:
        self._hosts, self._public = frozenset(name.lower() for name in hosts), frozenset(public)
        self._local = is_loopback(host)
        self._any_host = not self._hosts and not self._local
        self.known: set[tuple[bytes, bytes]] = set()

    def refused(self, method: str, path: str, headers: Headers) -> Refused | None:
        """Return why a request is refused, None where it is not."""
        said: dict[bytes, bytes] = {}
        for name, value in headers:
            if name in WATCHED or name == _MODE:
                if name in said:
                    return _said_twice(name)
                said[name] = value
        kind, host = said.get(_TYPE), said.get(_HOST)
        if kind is not None and method in _BODIES and not _is_json(kind):
            return _wrong_type(kind)
        if path in self._public:
            return None
        if host is not None and not self._is_ours(host):
            return _unknown_host(host)
        if method in _BODIES and len(self.known) < _MOST_KNOWN:
            self.known |= {(name, said[name]) for name in (_TYPE, _HOST) if name in said}
        return self._foreign(method, said)

    def _foreign(self, method: str, said: dict[bytes, bytes]) -> Refused | None:
        """Return the refusal of what a page of somebody else sent."""
        site, origin = said.get(_SITE), said.get(_ORIGIN)
        if site in (b"same-origin", b"none") or (site is None and origin is None):
            return None
        if method in ("GET", "HEAD") and said.get(_MODE) == b"navigate":
            return None  # somebody followed a link: a page that opens this one cannot read it
        if origin is not None and self._is_own(origin, said.get(_HOST, b"")):
            return None
        page = "another site" if origin is None else _shown(origin)
        message = f"a page of {page} sent this: add the host of that page to serving.hosts if it may ask here."
        return Refused(403, "foreign_page", message)

    def _is_own(self, origin: bytes, host: bytes) -> bool:
        _, _, authority = origin.partition(b"://")
        return authority.lower() == host.lower() != b"" or name_of_host(authority) in self._hosts

    def _is_ours(self, host: bytes) -> bool:
        """Return whether the name in the header ``Host`` is one by which this server may be asked."""
        name = name_of_host(host).rstrip(".")
        if self._any_host or name in self._hosts or "." not in name or is_loopback(name):
            return True
        return not self._local and _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_json(kind: bytes) -> bool:
    plain = kind.partition(b";")[0].strip().lower()
    return plain in _TYPES or (plain.startswith(b"application/") and plain.endswith(b"+json"))


def _said_twice(name: bytes) -> Refused:
    message = f"the request has more than one header {name.decode().title()}: give one."
    return Refused(400, "invalid_http", message)


def _wrong_type(kind: bytes) -> Refused:
    message = f"the header Content-Type has the value {_shown(kind)}, allowed is application/json."
    return Refused(415, "unsupported_media_type", message)


def _unknown_host(host: bytes) -> Refused:
    told = f"the header Host has the value {_shown(host)}, which is no name of this server"
    message = f"{told}: ask it by its address, or add the name to serving.hosts."
    return Refused(403, "unknown_host", message)


def _shown(value: bytes) -> str:
    return repr(value[:_SHOWN].decode("ascii", "backslashreplace"))
