"""How calls are written as JSON and their answers read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from orita.client.exchange import Reply
from orita.core.errors import UserError

__all__ = ["read", "read_data", "under_its_id", "written"]

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


class _Envelope(msgspec.Struct, Generic[T], frozen=True):
    data: T


def written(**fields: object) -> bytes:
    """Return the fields that have a value as JSON.

    Raises:
        UserError: a value has no form in JSON.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        return msgspec.json.encode(given, enc_hook=_plain)
    except (TypeError, OverflowError, UnicodeEncodeError) as error:
        raise UserError(f"{' and '.join(given)} cannot be written as JSON: {error}.") from None


def read(kind: type[T]) -> Callable[[Reply], T]:
    """Return what reads a body as a *kind*; it is made once, as it costs more than to read."""
    decode = msgspec.json.Decoder(kind).decode
    return lambda reply: decode(reply.body)


def read_data(kind: type[T]) -> Callable[[Reply], T]:
    """Return what reads a *kind* out of the envelope of the versioned API."""
    decode = msgspec.json.Decoder(_Envelope[kind]).decode  # type: ignore[valid-type]
    return lambda reply: decode(reply.body).data


def under_its_id(reader: Callable[[Reply], S]) -> Callable[[Reply], S]:
    """Return *reader* such that its answers have the field ``request_id`` of the header ``X-Request-Id``."""

    def read_with_id(reply: Reply) -> S:
        request_id = reply.headers.get(b"x-request-id", b"").decode("latin-1")
        return msgspec.structs.replace(reader(reply), request_id=request_id)

    return read_with_id


def _plain(value: object) -> object:
    """Return arrays and their numbers as Python's own, whichever library they are of, and sequences as lists."""
    if callable(convert := getattr(value, "tolist", None)):
        plain: object = convert()
        return plain
    if isinstance(value, Sequence):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} is no number, text, time, list or table")
