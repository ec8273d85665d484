"""JSON bodies, decoded into typed requests; what is wrong with one is said of its field, with its value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from orita.delivery.wrong_fields import wrong_field
from orita.serving.http.no_number import no_number, no_number_at
from orita.serving.http.refusal import Refused

__all__ = ["BodyDecoder", "Id", "check_request_id", "given_request_id"]

MAX_ID_LENGTH = 256

Id = (
    Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    | Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_LENGTH)]
)

T = TypeVar("T", bound=msgspec.Struct)

_EXPLAINED_BYTES = 32 * 1024
"""Of a longer body only that is told which the decoder says: what is wrong must not cost more than what is right."""

_OUT_OF_RANGE = ("Number out of range", "Integer value out of range")
_TOO_LARGE = "is beyond ±1.8e308: give a smaller number"

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


class BodyDecoder(Generic[T]):
    """Turns a body into a *kind*, or refuses it in a sentence.

    Args:
        kind: the request.
        needed: its required fields, in words, such as ``user_id and item_ids``.
    """

    def __init__(self, kind: type[T], needed: str) -> None:
        self._decode = msgspec.json.Decoder(kind).decode
        self._kind, self._needed = kind, needed

    def __call__(self, body: bytes | bytearray) -> T:
        """Return what *body* says.

        Raises:
            Refused: 400 for what is not JSON, 422 for wrong fields and values.
        """
        try:
            return self._decode(body)
        except msgspec.ValidationError as error:
            raise self._explained(error, body) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _not_json(error, body) from None

    def _explained(self, error: msgspec.ValidationError, body: bytes | bytearray) -> Refused:
        """Turn msgspec's message into a stable code and a sentence that names the field."""
        is_long, message = len(body) > _EXPLAINED_BYTES, str(error)
        if is_long and message.startswith(_OUT_OF_RANGE):
            place = message.partition("$")[2].strip("`.") or "the body"
            return Refused(400, "invalid_json", f"{place} has a number that {_TOO_LARGE}.")
        document = msgspec.UNSET if is_long else _document(body)
        fault = wrong_field(message, document, self._kind, needed=self._needed)
        return Refused(422, fault.code, fault.sentence)


def given_request_id(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Return the request id that a caller gave, None where it gave none.

    Raises:
        Refused: as of `check_request_id`.
    """
    for name, value in headers:
        if name == b"x-request-id":
            return check_request_id(value)
    return None


def check_request_id(header: bytes) -> str:
    """Return the request id that the header ``X-Request-Id`` gives.

    Raises:
        Refused: it is empty, too long or holds other characters.
    """
    if not _REQUEST_ID.fullmatch(header):
        raise Refused(
            422,
            "invalid_request_id",
            f"the header X-Request-Id has the value {header[:128].decode('ascii', 'backslashreplace')!r}, "
            "allowed are 1 to 128 letters, digits and . _ : / + = -.",
        )
    return header.decode("ascii")


def _document(body: bytes | bytearray) -> Any:
    """Return what *body* has, to show it to its writer; UNSET where its brackets are too deep."""
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        return msgspec.UNSET
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_json(error, body) from None


def _not_json(error: Exception, body: bytes | bytearray) -> Refused:
    is_long = len(body) > _EXPLAINED_BYTES
    if (found := no_number_at(body, str(error)) if is_long else no_number(body)) is not None:
        place, name = found
        why = _TOO_LARGE if name[-1].isdigit() else "JSON has not: give a number"
        return Refused(400, "invalid_json", f"{place or 'the body'} has the value {name}, which {why}.")
    return Refused(400, "invalid_json", f"the body is not valid JSON: {error}.")
