"""What a caller may ask of the feature store over HTTP, and what is answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from orita.serving.config import ServingConfig
from orita.serving.http.decoding import BodyDecoder, Id
from orita.serving.http.refusal import Refused

__all__ = [
    "FeatureRequests",
    "JobTaken",
    "OfflineRequest",
    "OnlineRequest",
    "PushRequest",
    "Pushed",
    "RowsAnswer",
]

Scalar = int | float | str | bool | None
Cell = Scalar | list[str]


class OnlineRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Features of a user and items as of now.

    Attributes:
        user_id: a non-negative integer or a string; of a key of several columns, a list of them.
        item_ids: of which items, likewise; a row each is answered, in this order.
        features: names; by default every feature.
        context: what a request brings, such as ``device``.
        timestamp: the time to answer for, ISO 8601 with an offset; by default now.
    """

    user_id: Id | list[Id]
    item_ids: list[Id | list[Id]]
    features: list[str] | None = None
    context: dict[str, Scalar] | None = None
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class OfflineRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Features of rows, each as of its own time.

    Attributes:
        rows: each with the ids, the time column of the events, and what requests bring.
        features: names; by default every feature.
        as_of: ``known``, from what was known at the row's time; ``event``, from what had happened by then.
    """

    rows: list[dict[str, Cell]]
    features: list[str] | None = None
    as_of: Literal["known", "event"] = "known"


class PushRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Events for the log.

    Attributes:
        events: rows of the source; one that is pushed again, with the same id, counts once.
        source: its name; by default that of the system.
    """

    events: list[dict[str, Cell]]
    source: str | None = None


class RowsAnswer(msgspec.Struct, frozen=True):
    """A row for each that was asked, in the same order: its columns and its features, null where missing."""

    rows: list[dict[str, Any]]


class Pushed(msgspec.Struct, frozen=True):
    """What was taken, durably.

    Attributes:
        taken: number of events.
        offsets: by partition of the log, the offset after the last of them.
    """

    taken: int
    offsets: dict[str, int]


class JobTaken(msgspec.Struct, frozen=True):
    """Work that goes on after the answer.

    Attributes:
        job: its id.
        state: always ``running``: a job that ended answers as the request itself would have.
        url: where to ask for it.
    """

    job: str
    state: Literal["running"]
    url: str


class FeatureRequests:
    """Decodes the bodies, and refuses what is too much."""

    def __init__(self, config: ServingConfig) -> None:
        self._most_items, self._most_rows = config.max_items, config.features.max_rows
        self._online = BodyDecoder(OnlineRequest, "user_id and item_ids")
        self._offline = BodyDecoder(OfflineRequest, "rows")
        self._push = BodyDecoder(PushRequest, "events")

    def online(self, body: bytes | bytearray) -> OnlineRequest:
        """Return what is asked of the present.

        Raises:
            Refused: it is not JSON, or a field is missing, unknown or has a wrong value.
        """
        request = self._online(body)
        _check_count("item_ids", "items", len(request.item_ids), self._most_items)
        _check_names(request.features)
        return request

    def offline(self, body: bytes | bytearray) -> OfflineRequest:
        """Return what is asked of the past; see `online`."""
        request = self._offline(body)
        _check_count("rows", "rows", len(request.rows), self._most_rows)
        _check_names(request.features)
        return request

    def push(self, body: bytes | bytearray) -> PushRequest:
        """Return what is pushed; see `online`."""
        request = self._push(body)
        _check_count("events", "events", len(request.events), self._most_rows)
        return request


def _check_count(field: str, what: str, count: int, most: int) -> None:
    if not count:
        raise Refused(422, "invalid_value", f"{field} is empty: give at least one.")
    if count > most:
        raise Refused(422, f"too_many_{what}", f"{field} has {count} {what}, allowed are {most}: split the request.")


def _check_names(features: list[str] | None) -> None:
    if features is not None and not features:
        raise Refused(422, "invalid_value", "features is empty: name at least one, or leave it out for all.")
