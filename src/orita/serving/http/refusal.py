"""How a request is refused: a status, a stable code, a sentence."""

from __future__ import annotations

import msgspec

__all__ = ["NO_MODEL", "ErrorAnswer", "Refused", "body_too_large", "encode_error", "internal_error", "no_model"]


NO_MODEL = "no model is deployed and loaded yet: promote one, or wait; GET /health says more."
"""What a server says that has no model, whichever way it is asked."""

_LONGEST = 2000
"""Characters of a sentence: what a caller sent is not sent back whole."""


class Refused(Exception):
    """A request that gets no answer but an error.

    Attributes:
        status: the HTTP status.
        code: stable, for machines: ``invalid_value``, ``no_model`` …
        message: one sentence for people that names the field.
        retry_after: seconds after which to try again, if that helps.
    """

    def __init__(self, status: int, code: str, message: str, *, retry_after: int | None = None) -> None:
        message = message if len(message) <= _LONGEST else f"{message[:_LONGEST]}…"
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after


class ErrorAnswer(msgspec.Struct, frozen=True):
    """The body of every error.

    Attributes:
        status: always ``error``.
        code: stable, for machines.
        message: one sentence that says what was wrong with which field.
        request_id: the request's id, as in the header ``X-Request-Id``.
    """

    status: str
    code: str
    message: str
    request_id: str


def encode_error(code: str, message: str, request_id: str) -> bytes:
    """Return the JSON body of an error."""
    return msgspec.json.encode(ErrorAnswer("error", code, message, request_id))


def no_model() -> Refused:
    """Return the refusal of a server that has no model."""
    return Refused(503, "no_model", NO_MODEL, retry_after=1)


def body_too_large(most: int) -> Refused:
    """Return the refusal of a body of more than *most* bytes."""
    return Refused(413, "body_too_large", f"the body has more than {most} bytes: split the request.")


def internal_error() -> Refused:
    """Return the refusal of a request that failed for a reason that is not the caller's to know."""
    return Refused(500, "internal_error", "the request could not be answered; the server's log has the reason.")
