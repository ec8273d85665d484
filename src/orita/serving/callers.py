"""Who asks, and what they may: the one question before anything is changed. Roles and tokens answer it later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from orita.serving.loopback import is_loopback
from orita.serving.refusal import Refused
from orita.serving.reply import Headers

__all__ = ["Caller", "Callers", "LocalCallers", "Permission"]

Permission = Literal["model:read", "model:predict", "model:write"]

_ELSEWHERE = (
    "models are changed only by who can reach this machine from itself, as there is no sign-in yet: ask a server whose "
    "serving.host is a loopback address, by that address."
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks; *name* is for audit trails."""

    name: str


class Callers(Protocol):
    """Knows who asks."""

    def caller(self, permission: Permission, headers: Headers, /) -> Caller:
        """Return who sent *headers*.

        Raises:
            Refused: 401, nobody knows who it is; 403, they have not the *permission*.
        """
        ...


class LocalCallers:
    """Lets everybody read and predict, and those change models who ask a server of this machine from this machine.

    The header ``Host`` must name this machine too: a web page whose name was made to point here sends its own name.

    Args:
        host: the address that the server listens on.
    """

    def __init__(self, host: str) -> None:
        self._local = is_loopback(host)

    def caller(self, permission: Permission, headers: Headers, /) -> Caller:
        """Return the caller; see `Callers.caller`."""
        if permission == "model:write" and not (self._local and is_loopback(_asked_host(headers))):
            raise Refused(403, "forbidden", _ELSEWHERE)
        return Caller("a local caller over HTTP")


def _asked_host(headers: Headers) -> str:
    """Return the name or address in the header ``Host``, without its port."""
    given = next((value for name, value in headers if name == b"host"), b"").decode("latin-1")
    if given.startswith("["):
        return given[1:].partition("]")[0]
    return given.rpartition(":")[0] if given.count(":") == 1 else given
