"""What a caller may ask: the request of ``POST /predict``, decoded, typed and checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec

from orita.core.clock import to_micros
from orita.features.id_list import IdList
from orita.serving.config import ServingConfig
from orita.serving.http.decoding import BodyDecoder, Id
from orita.serving.http.refusal import Refused

__all__ = ["Asked", "Attribute", "Context", "PredictRequest", "RequestDecoder", "checked_time"]

Attribute = str | int | float | bool


class Context(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Under which circumstances it is asked.

    Attributes:
        device: what the user holds: mobile, desktop or tablet, unless configured otherwise.
        timestamp: the time to answer for, ISO 8601 with an offset; by default now.
        attributes: what else is known of the request, such as a country or a session, by which a rollout may choose
            whom it means and whom it keeps together; no feature reads it.
    """

    device: str | None = None
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    attributes: Annotated[dict[str, Attribute], msgspec.Meta(max_length=32)] | None = None


class PredictRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which items to rank for whom.

    Attributes:
        user_id: a non-negative integer or a string.
        item_ids: the items to rank, likewise; each once.
        context: under which circumstances.
        objective: what one unit of each head of the model is worth, within ``serving.objective_bounds``; by default as
            the model declares.
    """

    user_id: Id
    item_ids: list[Id]
    context: Context | None = None
    objective: dict[str, float] | None = None


_NO_CONTEXT = Context()


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was checked: its ids, its context for features, its time (None: now), and what it weighs.

    The weights are not checked yet: that takes the model that answers. Its attributes are what a
    rollout chooses by.
    """

    user_id: int | str
    item_ids: list[int | str]
    context: dict[str, object]
    at_micros: int | None
    objective: dict[str, float] | None = None
    attributes: Mapping[str, Attribute] | None = None


class RequestDecoder:
    """Turns a body into what was asked, or refuses it in a sentence."""

    def __init__(self, config: ServingConfig) -> None:
        self._decode = BodyDecoder(PredictRequest, "user_id and item_ids")
        self._max_items = config.max_items
        self._devices = config.devices

    def __call__(self, body: bytes | bytearray) -> Asked:
        """Return what *body* asks.

        Raises:
            Refused: 400 for what is not JSON, 422 for wrong fields and values.
        """
        request = self._decode(body)
        item_ids = IdList(request.item_ids)
        self._check_items(item_ids)
        context = request.context or _NO_CONTEXT
        return Asked(
            request.user_id,
            item_ids,
            self._features_context(context),
            checked_time(context.timestamp, "context.timestamp"),
            request.objective,
            context.attributes,
        )

    def _check_items(self, item_ids: IdList) -> None:
        count = len(item_ids)
        if count == 0:
            raise Refused(422, "invalid_value", "item_ids is empty: give at least one item to rank.")
        if count > self._max_items:
            message = f"item_ids has {count} items, allowed are {self._max_items}: split the request."
            raise Refused(422, "too_many_items", message)
        same: list[int | str] = item_ids
        if item_ids.number_N is None:  # 5 and "5" are one item in tables of integer ids
            same = [str(item) for item in item_ids]
        if len(set(same)) != count:
            times = Counter(same)
            twice = next(item for item in same if times[item] > 1)
            message = f"item_ids has the item {twice!r} more than once: name each item once."
            raise Refused(422, "duplicate_items", message)

    def _features_context(self, context: Context) -> dict[str, object]:
        device = context.device
        if device is None:
            return {}
        if device not in self._devices:
            allowed = ", ".join(self._devices)
            raise Refused(422, "invalid_value", f"context.device has the value {device[:80]!r}, allowed are {allowed}.")
        return {"device": device}


def checked_time(at: datetime | None, field: str) -> int | None:
    """Return microseconds since the Unix epoch; *field* says whose value it is.

    Raises:
        Refused: it lies before 1970.
    """
    if at is None:
        return None
    micros = to_micros(at)
    if micros < 0:
        raise Refused(422, "invalid_value", f"{field} is {at.isoformat()}, allowed are times from 1970 on.")
    return micros
