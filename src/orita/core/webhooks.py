"""Signed messages between programs, in the form of Standard Webhooks 1.0 (https://www.standardwebhooks.com).

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

__all__ = ["BadSignature", "parse_secrets", "signed_headers", "verify"]

_PREFIX = "whsec_"
_LEAST, _MOST = 24, 64
_TOLERANCE_SECONDS = 300.0
_MOST_DIGITS = 12
_NAMES = ("webhook-id", "webhook-timestamp", "webhook-signature")


class BadSignature(UserError):
    """A message is not to be believed: it is not signed, not by the secret, or not of now."""


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

    How long it takes tells nothing of the signature that would fit.

    Args:
        secret: ``whsec_`` and base64.
        headers: of the request, their names in any case.
        body: of the request, every byte as it came.
        now: seconds since the Unix epoch.
        tolerance: seconds between then and now; an older message may be one that somebody recorded.

    Raises:
        BadSignature: no signature fits, a header is missing, or the time is another.
        UserError: the secret has a wrong form.
    """
    key = _secret(secret, "secret")
    given = {name.lower(): value for name, value in headers.items()}
    message, at, signatures = (given.get(name, "") for name in _NAMES)
    if not (message and at and signatures):
        raise BadSignature(f"a header of {', '.join(_NAMES[:2])} and {_NAMES[2]} is missing: refuse the call.")
    is_time = at.isascii() and at.isdigit() and len(at) <= _MOST_DIGITS
    if not is_time or abs(now - int(at)) > tolerance:
        raise BadSignature(
            f"webhook-timestamp is {at[:32]!r}, allowed are seconds since 1970 within {tolerance:g} s of now: "
            "refuse the call."
        )
    expected = f"v1,{_signature(key, message, at, body)}".encode()
    fits = [hmac.compare_digest(expected, _bytes(each)) for each in signatures.split(" ")]
    if not any(fits):
        raise BadSignature("no signature in webhook-signature fits the body: refuse the call.")


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
    content = b".".join((_bytes(message), _bytes(at), body))
    return base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
