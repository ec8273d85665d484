"""Requests that a server logged, and why they were answered so. Fields that a newer server adds are passed over."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

__all__ = [
    "ExplainedFeature",
    "ExplainedItem",
    "Explanation",
    "ExplanationMethod",
    "FeatureEvents",
    "FeatureLineage",
    "LoggedItem",
    "LoggedRequest",
]


class LoggedItem(msgspec.Struct, frozen=True):
    """An item of a logged request.

    Attributes:
        item_id: as text.
        score: what it got.
        rank: from 1, the best.
        prediction_id: of this item in this request.
        features: what the model was given, None where a value was missing.
    """

    item_id: str
    score: float
    rank: int
    prediction_id: str
    features: dict[str, float | None]


class _Logged(msgspec.Struct, frozen=True, kw_only=True):
    request_id: str
    system: str
    model_version: str
    user_id: str
    at: datetime
    as_of: datetime
    latency_ms: float
    answers: int
    level: int
    cached: bool = False
    objective: dict[str, float] | None = None
    rollout: str | None = None
    variant: str | None = None


class LoggedRequest(_Logged, frozen=True, kw_only=True):
    """A request as it was answered.

    Attributes:
        request_id, system, model_version, user_id: of the request; ids are text.
        at: when it was answered.
        as_of: the time that its features were computed for.
        latency_ms: inside the server.
        answers: how many answers have this request id; this is the latest.
        level: how good the answer is: 1 the model's, 2 and more what stood in for it.
        cached: whether its scores were computed for an earlier request.
        objective: what one unit of each head was worth, None where the request weighed none.
        rollout: the rollout whose dice chose the model, None where none did.
        variant: the variant of a rollout that answered, None where none ran.
        items: every item, best first.
    """

    items: tuple[LoggedItem, ...]


class FeatureEvents(msgspec.Struct, frozen=True):
    """The events that an aggregate of a feature saw.

    Attributes:
        source: the table they are in.
        by: the keys, by column.
        window, filter: which of the events of these keys, in words; empty: all of them.
        count: how many there are.
        first, last: times of the earliest and the latest, ISO 8601; empty without events.
        latest: the latest few, with the columns that the aggregate reads.
    """

    source: str
    by: dict[str, str]
    window: str
    filter: str
    count: int
    first: str
    last: str
    latest: tuple[dict[str, Any], ...]


class FeatureLineage(msgspec.Struct, frozen=True):
    """What a feature was made of.

    Attributes:
        declared: its declaration in words.
        reads: the columns that it reads.
        events: by aggregate.
        attributes: of tables, as they are now.
        request: what the request brought.
        unknown: what is not told, and why.
    """

    declared: str
    reads: tuple[str, ...]
    events: tuple[FeatureEvents, ...]
    attributes: tuple[dict[str, Any], ...]
    request: tuple[str, ...]
    unknown: tuple[str, ...]


class ExplainedFeature(msgspec.Struct, frozen=True):
    """A feature of an item.

    Attributes:
        feature: its name, ``user_id`` or ``item_id``.
        values: as they were, by column.
        contribution: what it moved the score by.
        error: one standard error of that.
        lineage: what it was made of, None where it was not traced.
    """

    feature: str
    values: dict[str, float | str | None]
    contribution: float
    error: float
    lineage: FeatureLineage | None = None


class ExplainedItem(msgspec.Struct, frozen=True):
    """An item that was explained: baseline, contributions and *unexplained* add up to its score."""

    item_id: str
    score: float
    rank: int
    prediction_id: str
    unexplained: float
    features: tuple[ExplainedFeature, ...]


class ExplanationMethod(msgspec.Struct, frozen=True):
    """How contributions were found, and what scores are held against."""

    name: str
    reference: str
    orders: int
    error: str


class Explanation(_Logged, frozen=True, kw_only=True):
    """Why a request was answered as it was; what is not listed here is as in `LoggedRequest`.

    Attributes:
        model_type: of the version that answered.
        method: how contributions were found.
        baseline: the mean score of the reference rows.
        rows: how many items the request had.
        no_lineage: why features were not traced to events; empty where they were.
        items: those that were explained.
    """

    model_type: str
    method: ExplanationMethod
    baseline: float
    rows: int
    no_lineage: str
    items: tuple[ExplainedItem, ...]
