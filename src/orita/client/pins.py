"""Pins: the public keys that a server may have, each named by the SHA-256 of its SubjectPublicKeyInfo (RFC 7469, 2.4).

A key outlives the certificates that are issued for it, so a pin stays true when a certificate is renewed. Pins are
written as curl's ``--pinnedpubkey`` takes them: ``sha256//`` and 44 characters of base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ssl
from collections.abc import Iterable
from pathlib import Path

from orita.core.errors import UserError

__all__ = ["WrongPin", "parse_pins", "pin_context", "pin_of", "public_key_info"]

_PREFIX = "sha256//"
_SEQUENCE, _VERSION = 0x30, 0xA0
_FIELDS_BEFORE_KEY = 5  # serial number, signature algorithm, issuer, validity, subject


class WrongPin(ssl.SSLCertVerificationError):
    """The server has another key than those that are pinned."""


def pin_of(certificate: Path | str) -> str:
    """Return the pin of the public key of *certificate*, a PEM file; of several in it, the first, the server's own.

    Raises:
        UserError: the file holds no certificate.
    """
    try:
        text = Path(certificate).read_text(encoding="ascii")
        end = "-----END CERTIFICATE-----"
        first = text[text.index("-----BEGIN CERTIFICATE-----") : text.index(end) + len(end)]
        return _pin(ssl.PEM_cert_to_DER_cert(first))
    except OSError as error:
        raise UserError(f"the certificate {certificate} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise UserError(f"{certificate} holds no certificate: give a PEM file that has one.") from None


def parse_pins(pins: Iterable[str]) -> frozenset[bytes]:
    """Return the digests that *pins* name.

    Raises:
        UserError: one is not of the form ``sha256//`` and 44 characters of base64.
    """
    return frozenset(_digest(pin) for pin in pins)


def pin_context(context: ssl.SSLContext, pins: frozenset[bytes]) -> None:
    """Let *context* refuse, beside what it refuses already, every server whose key none of *pins* names.

    The handshake fails, so that a connection with another key never exists: no byte of a request goes over it, in
    whichever way the connection is made (sockets block, event loops do not).
    """

    class PinnedSocket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            _check(self.getpeercert(binary_form=True), pins)

    class PinnedObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            _check(self.getpeercert(binary_form=True), pins)

    context.sslsocket_class, context.sslobject_class = PinnedSocket, PinnedObject


def public_key_info(certificate: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo within a DER certificate (RFC 5280, 4.1), as it stands there.

    Raises:
        ValueError: it is not a certificate.
    """
    whole, _ = _element(certificate, 0, _SEQUENCE)
    to_be_signed, _ = _element(certificate, whole, _SEQUENCE)
    at = to_be_signed
    if certificate[at : at + 1] == bytes([_VERSION]):
        _, at = _element(certificate, at)
    for _ in range(_FIELDS_BEFORE_KEY):
        _, at = _element(certificate, at)
    _, end = _element(certificate, at, _SEQUENCE)
    return certificate[at:end]


def _element(der: bytes, at: int, tag: int | None = None) -> tuple[int, int]:
    """Return where the content of the element at *at* begins, and where it ends."""
    if at + 2 > len(der) or (tag is not None and der[at] != tag):
        raise ValueError("not a certificate")
    length, begin = der[at + 1], at + 2
    if length & 0x80:  # the length itself has so many bytes
        count = length & 0x7F
        length, begin = int.from_bytes(der[begin : begin + count]), begin + count
    if begin + length > len(der):
        raise ValueError("not a certificate")
    return begin, begin + length


def _digest(pin: str) -> bytes:
    try:
        digest = base64.b64decode(pin.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        digest = b""
    if not pin.startswith(_PREFIX) or len(digest) != hashlib.sha256().digest_size:
        raise UserError(
            f"pins has the value {pin!r}, allowed is the form 'sha256//' and 44 characters of base64: "
            "orita.client.pin_of gives the pin of a certificate."
        )
    return digest


def _pin(certificate: bytes) -> str:
    return _PREFIX + base64.b64encode(hashlib.sha256(public_key_info(certificate)).digest()).decode()


def _check(certificate: bytes | None, pins: frozenset[bytes]) -> None:
    try:
        found = b"" if certificate is None else hashlib.sha256(public_key_info(certificate)).digest()
    except ValueError:
        found = b""
    if not any(hmac.compare_digest(found, pin) for pin in pins):
        has = f"{_PREFIX}{base64.b64encode(found).decode()}" if found else "no key that can be read"
        raise WrongPin(f"the server has {has}, which is not pinned")
