"""Which addresses only this machine can reach, and which name a request was sent to."""

from __future__ import annotations

import ipaddress

__all__ = ["is_loopback", "name_of_host"]


def is_loopback(host: str) -> bool:
    """Tell whether *host*, a name or an address, is this machine as it sees itself."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def name_of_host(header: bytes) -> str:
    """Return the name or address in the header ``Host``, in small letters, without its port."""
    given = header.decode("latin-1").lower()
    if given.startswith("["):
        return given[1:].partition("]")[0]
    return given.rpartition(":")[0] if given.count(":") == 1 else given
