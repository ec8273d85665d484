"""What a caller may ask: the request of ``POST /predict``, decoded, typed and checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec

from orita.core.clock import to_micros
from orita.core.errors import closest
from orita.serving.config import ServingConfig
from orita.serving.refusal import Refused

__all__ = ["Asked", "Context", "Id", "PredictRequest", "RequestDecoder", "check_request_id"]

_MAX_ID_LENGTH = 256

Id = (
    Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    | Annotated[str, msgspec.Meta(min_length=1, max_length=_MAX_ID_LENGTH)]
)


class Context(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Under which circumstances it is asked.

    Attributes:
        device: what the user holds: mobile, desktop or tablet, unless configured otherwise.
        timestamp: the time to answer for, ISO 8601 with an offset; by default now.
    """

    device: str | None = None
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class PredictRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which items to rank for whom.

    Attributes:
        user_id: a non-negative integer or a string.
        item_ids: the items to rank, likewise; each once.
        context: under which circumstances.
    """

    user_id: Id
    item_ids: list[Id]
    context: Context | None = None


_FIELDS = {"": PredictRequest.__struct_fields__, "context": Context.__struct_fields__}
_NO_CONTEXT = Context()


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was checked: its ids, its context for features, and its time (None: now)."""

    user_id: int | str
    item_ids: list[int | str]
    context: dict[str, object]
    at_micros: int | None


class RequestDecoder:
    """Turns a body into what was asked, or refuses it in a sentence."""

    def __init__(self, config: ServingConfig) -> None:
        self._decode = msgspec.json.Decoder(PredictRequest).decode
        self._max_items = config.max_items
        self._devices = config.devices

    def __call__(self, body: bytes | bytearray) -> Asked:
        """Return what *body* asks.

        Raises:
            Refused: 400 for what is not JSON, 422 for wrong fields and values.
        """
        try:
            request = self._decode(body)
        except msgspec.ValidationError as error:
            raise Refused(422, *_explain(str(error), body)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _not_json(error) from None
        self._check_items(request.item_ids)
        context = request.context or _NO_CONTEXT
        return Asked(request.user_id, request.item_ids, self._features_context(context), _checked_time(context))

    def _check_items(self, item_ids: list[int | str]) -> None:
        count = len(item_ids)
        if count == 0:
            raise Refused(422, "invalid_value", "item_ids is empty: give at least one item to rank.")
        if count > self._max_items:
            message = f"item_ids has {count} items, allowed are {self._max_items}: split the request."
            raise Refused(422, "too_many_items", message)
        same = item_ids
        if len(set(map(type, item_ids))) > 1:  # 5 and "5" are one item in tables of integer ids
            same = [str(item) for item in item_ids]
        if len(set(same)) != count:
            twice = next(item for item in same if same.count(item) > 1)
            message = f"item_ids has the item {twice!r} more than once: name each item once."
            raise Refused(422, "duplicate_items", message)

    def _features_context(self, context: Context) -> dict[str, object]:
        device = context.device
        if device is None:
            return {}
        if device not in self._devices:
            allowed = ", ".join(self._devices)
            raise Refused(422, "invalid_value", f"context.device has the value {device!r}, allowed are {allowed}.")
        return {"device": device}


def _checked_time(context: Context) -> int | None:
    if context.timestamp is None:
        return None
    at = to_micros(context.timestamp)
    if at < 0:
        value = context.timestamp.isoformat()
        raise Refused(422, "invalid_value", f"context.timestamp is {value}, allowed are times from 1970 on.")
    return at


_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


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


_TIME = "an ISO 8601 time with an offset, such as 2024-11-15T10:30:00Z"
_SHOWN = 80
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<place>.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")


def _explain(error: str, body: bytes | bytearray) -> tuple[str, str]:
    """Turn msgspec's message into a stable code and a sentence that names the field."""
    match = _PLACE.match(error)
    assert match is not None
    what, place = match["what"], match["place"] or ""
    if unknown := _UNKNOWN.fullmatch(what):
        where = place or "the request"
        hint = closest(unknown[1], _FIELDS.get(place, ()))
        return "unknown_field", f"{where} has the unknown field {unknown[1]!r}. {hint}"
    if missing := _MISSING.fullmatch(what):
        return "missing_field", f"{missing[1]} is missing: give user_id and item_ids."
    expected = what.replace("`", "").removeprefix("Expected ").partition(", got ")[0]
    if "datetime" in what:
        expected = _TIME
    value = _value_at(body, place)
    return "invalid_value", f"{place or 'the request'} has the value {value}, expected {expected}."


def _value_at(body: bytes | bytearray, place: str) -> str:
    """Return what *body* has at *place* as JSON, shortened, to show it to its writer."""
    try:
        value = msgspec.json.decode(body)
    except RecursionError:
        return "(brackets too deep to show)"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_json(error) from None
    for name, index in re.findall(r"(\w+)|\[(\d+)\]", place):
        value = value[name] if name else value[int(index)]
    shown = msgspec.json.encode(value).decode()
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


def _not_json(error: Exception) -> Refused:
    return Refused(400, "invalid_json", f"the body is not valid JSON: {error}.")
