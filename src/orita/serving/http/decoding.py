"""JSON bodies, decoded into typed requests; what is wrong with one is said of its field, with its value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Generic, Literal, TypeVar, get_args, get_origin

import msgspec

from orita.core.errors import closest
from orita.serving.http.no_number import no_number
from orita.serving.http.refusal import Refused

__all__ = ["BodyDecoder", "Id", "check_request_id", "given_request_id"]

MAX_ID_LENGTH = 256

Id = (
    Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    | Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_LENGTH)]
)

T = TypeVar("T", bound=msgspec.Struct)

_TIME = "an ISO 8601 time with an offset, such as 2024-11-15T10:30:00Z"
_SHOWN = 80
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<place>.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


class BodyDecoder(Generic[T]):
    """Turns a body into a *kind*, or refuses it in a sentence.

    Args:
        kind: the request.
        needed: its required fields, in words, such as ``user_id and item_ids``.
        inner: the fields of the objects in it, by where they are, such as ``context``.
    """

    def __init__(self, kind: type[T], needed: str, inner: Mapping[str, Sequence[str]] | None = None) -> None:
        self._decode = msgspec.json.Decoder(kind).decode
        self._needed = needed
        self._fields = {"": kind.__struct_fields__, **(inner or {})}
        told = {field.name: field.type for field in msgspec.structs.fields(kind)}
        self._choices = {name: choices for name, type_ in told.items() if (choices := _choices(type_))}

    def __call__(self, body: bytes | bytearray) -> T:
        """Return what *body* says.

        Raises:
            Refused: 400 for what is not JSON, 422 for wrong fields and values.
        """
        try:
            return self._decode(body)
        except msgspec.ValidationError as error:
            raise Refused(422, *self._explained(str(error), body)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _not_json(error, body) from None

    def _explained(self, error: str, body: bytes | bytearray) -> tuple[str, str]:
        """Turn msgspec's message into a stable code and a sentence that names the field."""
        match = _PLACE.match(error)
        assert match is not None
        what, place = match["what"], match["place"] or ""
        if unknown := _UNKNOWN.fullmatch(what):
            where = place or "the request"
            hint = closest(unknown[1], self._fields.get(place, ()))
            return "unknown_field", f"{where} has the unknown field {unknown[1]!r}. {hint}"
        if missing := _MISSING.fullmatch(what):
            return "missing_field", f"{missing[1]} is missing: give {self._needed}."
        expected = what.replace("`", "").removeprefix("Expected ").partition(", got ")[0]
        if place in self._choices:
            expected = " or ".join(map(repr, self._choices[place]))
        elif "datetime" in what:
            expected = _TIME
        value = _value_at(body, place)
        return "invalid_value", f"{place or 'the request'} has the value {value}, expected {expected}."


def _choices(type_: object) -> tuple[object, ...]:
    """Return what a field may say that is a Literal, or one or null."""
    return next((get_args(t) for t in (type_, *get_args(type_)) if get_origin(t) is Literal), ())


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


def _value_at(body: bytes | bytearray, place: str) -> str:
    """Return what *body* has at *place* as JSON, shortened, to show it to its writer."""
    try:
        value = msgspec.json.decode(body)
    except RecursionError:
        return "(brackets too deep to show)"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_json(error, body) from None
    known, _, _ = place.partition("[...]")  # under a name that msgspec does not tell: show what has it
    for name, index in re.findall(r"(\w+)|\[(\d+)\]", known):
        value = value[name] if name else value[int(index)]
    shown = msgspec.json.encode(value).decode()
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


def _not_json(error: Exception, body: bytes | bytearray) -> Refused:
    if (found := no_number(body)) is not None:
        place, name = found
        return Refused(
            400, "invalid_json", f"{place or 'the body'} has the value {name}, which JSON has not: give a number."
        )
    return Refused(400, "invalid_json", f"the body is not valid JSON: {error}.")
