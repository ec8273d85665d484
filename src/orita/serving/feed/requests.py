"""What a caller may ask of a feed: the request of ``POST /api/v1/feed``, decoded, typed and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from orita.serving.config import ServingConfig
from orita.serving.http.decoding import BodyDecoder, Id
from orita.serving.http.refusal import Refused
from orita.serving.predict.requests import Attribute, Context, checked_time

__all__ = ["FeedAsked", "FeedDecoder", "FeedRequest"]


class FeedRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of a feed.

    Attributes:
        user_id: whose feed: a non-negative integer or a string.
        limit: most items of the page; by default as configured.
        context: under which circumstances.
        cursor: of the page before; null: a new feed.
        objective: what one unit of each head of the model is worth, within ``serving.objective_bounds``; by default as
            the model declares.
    """

    user_id: Id
    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None
    context: Context | None = None
    cursor: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    objective: dict[str, float] | None = None


_NO_CONTEXT = Context()


@dataclass(frozen=True, slots=True)
class FeedAsked:
    """A request that was checked: its context is for features, its time None for now.

    The weights of its objective are not checked yet: that takes the model that answers. Its attributes are what a
    rollout chooses by.
    """

    user_id: int | str
    limit: int
    context: dict[str, object]
    at_micros: int | None
    cursor: str | None
    objective: dict[str, float] | None = None
    attributes: Mapping[str, Attribute] | None = None


class FeedDecoder:
    """Turns a body into what was asked, or refuses it in a sentence."""

    def __init__(self, config: ServingConfig) -> None:
        self._decode = BodyDecoder(FeedRequest, "user_id")
        self._limit, self._most = config.feed.limit, config.feed.most_limit
        self._devices = config.devices

    def __call__(self, body: bytes | bytearray) -> FeedAsked:
        """Return what *body* asks.

        Raises:
            Refused: 400 for what is not JSON, 422 for wrong fields and values.
        """
        request = self._decode(body)
        limit = self._limit if request.limit is None else request.limit
        if limit > self._most:
            raise Refused(422, "invalid_value", f"limit has the value {limit}, allowed are 1 to {self._most}.")
        context = request.context or _NO_CONTEXT
        if context.device is not None and context.device not in self._devices:
            allowed = ", ".join(self._devices)
            message = f"context.device has the value {context.device[:80]!r}, allowed are {allowed}."
            raise Refused(422, "invalid_value", message)
        known: dict[str, object] = {} if context.device is None else {"device": context.device}
        at = checked_time(context.timestamp, "context.timestamp")
        return FeedAsked(request.user_id, limit, known, at, request.cursor, request.objective, context.attributes)
