"""Where a server is, and how much it is trusted."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from orita.client.pins import parse_pins, pin_context
from orita.core.errors import UserError

__all__ = ["Address", "tls_context"]

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is.

    Attributes:
        scheme: ``http`` or ``https``.
        host: name or number.
        port: TCP port.
        prefix: what stands before every path; empty unless a proxy puts the server below one.
    """

    scheme: str
    host: str
    port: int
    prefix: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Return the address that *url* names, such as ``http://127.0.0.1:8080``.

        Raises:
            UserError: it is no such URL, or has more than scheme, host, port and path.
        """
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").encode("idna").decode(), parts.port
        except ValueError:  # UnicodeError is one
            host = ""
        if not host or parts.scheme not in _PORTS:
            raise UserError(f"server address {url!r} is not a URL: write it like http://127.0.0.1:8080.")
        if parts.query or parts.fragment or "@" in parts.netloc or not parts.path.isascii() or " " in parts.path:
            raise UserError(
                f"server address {url!r} has more than a scheme, a host, a port and a path: leave the rest out, "
                "and give what signs you in as headers."
            )
        port = _PORTS[parts.scheme] if port is None else port
        return cls(parts.scheme, host, port, parts.path.rstrip("/"))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host_and_port}{self.prefix}"

    @property
    def host_and_port(self) -> str:
        """What the header ``Host`` says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def tls_context(address: Address, authorities: Path | str | None, pins: Iterable[str]) -> ssl.SSLContext | None:
    """Return how certificates are checked; None where there is no TLS.

    Args:
        address: where the server is.
        authorities: a PEM file of certificates to trust instead of the system's.
        pins: keys of which the server must have one, beside a certificate that is trusted; none: any key.

    Raises:
        UserError: a pin is malformed, the file is not one of certificates, or either is given where there is no TLS.
    """
    digests = parse_pins(pins)
    if address.scheme != "https":
        if digests or authorities is not None:
            raise UserError(f"pins and authorities need TLS, and {address} has none: write https://.")
        return None
    try:
        context = ssl.create_default_context(cafile=None if authorities is None else str(authorities))
    except OSError as error:  # ssl.SSLError is one
        told = error.strerror or str(error)
        raise UserError(f"authorities {authorities} is not a PEM file of certificates: {told}.") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if digests:
        pin_context(context, digests)
    return context
