"""Who asks, and what they may: every face of the server asks this one protocol. Roles and tokens answer it later.

`orita.serving.access.gate` asks it before a request reaches its route, and gRPC before a call does; which permission a
path needs stands in `orita.serving.access.permissions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from orita.serving.access.loopback import is_loopback, name_of_host
from orita.serving.http.refusal import Refused
from orita.serving.http.reply import Headers

__all__ = ["Caller", "Callers", "LocalCallers", "Permission", "Visitor"]

Permission = Literal["model:read", "model:predict", "model:write", "data:read", "data:write"]

_FORWARDED, _ALSO_FORWARDED = frozenset((b"forwarded", b"x-real-ip", b"via")), b"x-forwarded-"
_ELSEWHERE = (
    "models are changed only by who is on the server's own machine, as there is no sign-in yet: ask a server whose "
    "serving.host is a loopback address, by that address, with no proxy between."
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks; *name* is for audit trails."""

    name: str


@dataclass(frozen=True, slots=True)
class Visitor:
    """What is known of who asks before they are known.

    Attributes:
        headers: what they sent, names in small letters.
        peer: the address at the other end of the connection, which they cannot choose; None where it is not known.
    """

    headers: Headers
    peer: str | None


class Callers(Protocol):
    """Knows who asks.

    Attributes:
        everybody: what everybody may, known or not. Where ``model:predict`` is among it, predictions are answered on
            the short way through the server, which cannot wait for an answer to who asks.
    """

    everybody: frozenset[Permission]

    async def caller(self, permission: Permission | None, visitor: Visitor, /) -> Caller:
        """Return who the *visitor* is.

        Args:
            permission: what they need for what they ask; None: nothing, but to be known.
            visitor: what is known of them.

        Raises:
            Refused: 401, nobody knows who it is; 403, they have not the *permission*.
        """
        ...


class LocalCallers:
    """Lets everybody do all but change models; that may who asks a server of this machine from this machine.

    What a caller writes decides nothing to their gain: the server must listen on a loopback address, the connection
    must come from one, and no header may say that somebody passed the request on. The header ``Host`` must name this
    machine too, since a web page whose name was made to point here sends its own name.

    Args:
        host: the address that the server listens on.
    """

    everybody: frozenset[Permission] = frozenset(("model:read", "model:predict", "data:read", "data:write"))

    def __init__(self, host: str) -> None:
        self._local = is_loopback(host)

    async def caller(self, permission: Permission | None, visitor: Visitor, /) -> Caller:
        """Return the caller; see `Callers.caller`."""
        if permission == "model:write" and not (self._local and _is_here(visitor)):
            raise Refused(403, "forbidden", _ELSEWHERE)
        return Caller("a local caller over HTTP")


def _is_here(visitor: Visitor) -> bool:
    """Return whether a request was sent on this machine, to this machine, by nobody else's order."""
    if visitor.peer is None or not is_loopback(visitor.peer):
        return False
    hosts = [value for name, value in visitor.headers if name == b"host"]
    passed_on = any(name in _FORWARDED or name.startswith(_ALSO_FORWARDED) for name, _ in visitor.headers)
    return not passed_on and len(hosts) == 1 and is_loopback(name_of_host(hosts[0]))
