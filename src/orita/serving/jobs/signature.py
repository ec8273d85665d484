"""Signatures of callbacks, in the form of Standard Webhooks 1.0 (https://www.standardwebhooks.com).

``webhook-signature`` is ``v1,`` and the base64 of HMAC-SHA256 over ``webhook-id.webhook-timestamp.body``; of several
secrets there are several, with spaces between them, and whoever is called needs one that fits.

    headers = signed_headers(secrets, job, at, body)
    verify(secret, headers, body, now)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

from orita.core.errors import UserError

__all__ = ["parse_secrets", "signed_headers", "verify"]

_PREFIX = "whsec_"
_LEAST, _MOST = 24, 64
_TOLERANCE_SECONDS = 300


def parse_secrets(text: str, variable: str) -> tuple[bytes, ...]:
    """Return the secrets in *text*, with white space between them.

    Args:
        text: each is ``whsec_`` and the base64 of 24 to 64 random bytes.
        variable: where the text is from, for the sentence.

    Raises:
        UserError: there is none, or one has another form; the sentence does not tell it.
    """
    secrets = tuple(_secret(each, variable) for each in text.split())
    if not secrets:
        raise UserError(f"the environment variable {variable!r} holds no secret: {_form()}.")
    return secrets


def signed_headers(secrets: Sequence[bytes], message: str, at: int, body: bytes) -> dict[str, str]:
    """Return the headers of a message.

    Args:
        secrets: each signs.
        message: its id, the same in each attempt.
        at: seconds since the Unix epoch, of this attempt.
        body: what is sent.
    """
    signatures = " ".join(f"v1,{_signature(secret, message, str(at), body)}" for secret in secrets)
    return {"webhook-id": message, "webhook-timestamp": str(at), "webhook-signature": signatures}


def verify(
    secret: str, headers: Mapping[str, str], body: bytes, now: float, *, tolerance: float = _TOLERANCE_SECONDS
) -> None:
    """Do nothing where *headers* are those of *body*; for programs that are called.

    Args:
        secret: ``whsec_`` and base64.
        headers: of the request, by their names in lower case.
        body: of the request, every byte as it came.
        now: seconds since the Unix epoch.
        tolerance: seconds between then and now; an older message may be one that somebody recorded.

    Raises:
        UserError: no signature fits, a header is missing, or the time is another.
    """
    given = [headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")]
    message, at, signatures = given
    if not all(given):
        raise UserError("a header of webhook-id, webhook-timestamp and webhook-signature is missing: refuse the call.")
    if not at.isdigit() or abs(now - int(at)) > tolerance:
        raise UserError(f"webhook-timestamp is {at[:32]!r}, more than {tolerance:g} s from now: refuse the call.")
    expected = _signature(_secret(secret, "secret"), message, at, body)
    fits = [hmac.compare_digest(f"v1,{expected}".encode(), each.encode()) for each in signatures.split(" ")]
    if not any(fits):
        raise UserError("no signature in webhook-signature fits the body: refuse the call.")


def _secret(text: str, variable: str) -> bytes:
    try:
        secret = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(_PREFIX) or not _LEAST <= len(secret) <= _MOST:
        raise UserError(f"a secret in {variable!r} has a wrong form: {_form()}.")
    return secret


def _form() -> str:
    return f"give {_PREFIX} and the base64 of {_LEAST} to {_MOST} random bytes, such as of 'openssl rand -base64 32'"


def _signature(secret: bytes, message: str, at: str, body: bytes) -> str:
    content = b".".join((message.encode(), at.encode(), body))
    return base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()
