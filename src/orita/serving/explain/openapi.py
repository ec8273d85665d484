"""The description of ``/api/v1/predictions``: what a logged request is told as, and its explanation."""

from __future__ import annotations

from typing import Any

import msgspec

from orita.serving.documents.openapi import REQUEST_ID, TEMPLATE, responses
from orita.serving.explain.route import MOST_ITEMS, PREFIX
from orita.serving.http.envelope import Answered, Refusal

__all__ = ["Explanation", "LoggedAnswer", "describe_explanations"]

Value = float | str | None


class LoggedItem(msgspec.Struct, frozen=True):
    """An item of a logged request, with the features that the model was given; a missing one is null."""

    item_id: str
    score: float
    rank: int
    prediction_id: str
    features: dict[str, float | None]


class LoggedAnswer(msgspec.Struct, frozen=True):
    """A request as it was answered, its items best first.

    Attributes:
        request_id, system, model_version, user_id: of the request; ids are text.
        at: when it was answered.
        as_of: the time its features were computed for.
        latency_ms: inside the server.
        answers: how many answers have this request id; this is the latest.
        level: how good the answer is: 1 the model's, 2 and more what stood in for it.
        cached: whether its scores were computed for an earlier request.
        objective: what one unit of each head was worth, null where the request weighed none.
        rollout: the rollout whose dice chose the model, null where none did.
        variant: the variant of a rollout that answered, null where none ran.
        items: every item.
    """

    request_id: str
    system: str
    model_version: str
    user_id: str
    at: str
    as_of: str
    latency_ms: float
    answers: int
    level: int
    cached: bool
    objective: dict[str, float] | None
    rollout: str | None
    variant: str | None
    items: list[LoggedItem]


class ExplanationMethod(msgspec.Struct, frozen=True):
    """How contributions were found, and what scores are held against."""

    name: str
    reference: str
    orders: int
    error: str


class FeatureEvents(msgspec.Struct, frozen=True):
    """The events that an aggregate of a feature saw: by which keys, in which window, how many, and the latest few.

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
    latest: list[dict[str, Any]]


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
    reads: list[str]
    events: list[FeatureEvents]
    attributes: list[dict[str, Any]]
    request: list[str]
    unknown: list[str]


class ExplainedFeature(msgspec.Struct, frozen=True):
    """A feature: its values as they were, what it moved the score by, and the events behind it.

    Attributes:
        feature: its name, ``user_id`` or ``item_id``.
        values: by column.
        contribution: what it moved the score by.
        error: one standard error of that.
        lineage: what it was made of, null where it was not traced.
    """

    feature: str
    values: dict[str, Value]
    contribution: float
    error: float
    lineage: FeatureLineage | None


class ExplainedItem(msgspec.Struct, frozen=True):
    """An item that was explained; baseline, contributions and *unexplained* add up to the score."""

    item_id: str
    score: float
    rank: int
    prediction_id: str
    unexplained: float
    features: list[ExplainedFeature]


class Explanation(msgspec.Struct, frozen=True):
    """Why a request was answered as it was.

    Attributes:
        request_id, system, model_version, user_id, at, as_of, latency_ms, answers, level, cached, objective, rollout,
            variant: as in a logged answer.
        model_type: of the version that answered.
        method: how contributions were found.
        baseline: the mean score of the reference rows.
        rows: how many items the request had.
        no_lineage: why features were not traced to events; empty where they were.
        items: those that were explained.
    """

    request_id: str
    system: str
    model_version: str
    user_id: str
    at: str
    as_of: str
    latency_ms: float
    answers: int
    level: int
    cached: bool
    objective: dict[str, float] | None
    rollout: str | None
    variant: str | None
    model_type: str
    method: ExplanationMethod
    baseline: float
    rows: int
    no_lineage: str
    items: list[ExplainedItem]


_TYPES = (Answered[LoggedAnswer], Answered[Explanation], Refusal)
_ERRORS = {
    404: "The log has no such request, or the request no such item; or this path is off on this server.",
    422: "The id or a parameter has a wrong value.",
    500: "The request could not be answered.",
    503: "As much is under way as may be; see Retry-After.",
}
_ID = {
    "name": "request_id",
    "in": "path",
    "required": True,
    "description": "The id of a request, or of one of its predictions.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:/+=-]{1,128}$"},
}
_PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "item",
        "in": "query",
        "required": False,
        "description": "Explain this item, again for more; by default the best.",
        "schema": {"type": "array", "items": {"type": "string"}, "maxItems": MOST_ITEMS, "uniqueItems": True},
    },
    {
        "name": "top",
        "in": "query",
        "required": False,
        "description": "How many of the best, where no item is named.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST_ITEMS, "default": 1},
    },
    {
        "name": "lineage",
        "in": "query",
        "required": False,
        "description": "false: do not trace features to the events behind them, which reads the lake.",
        "schema": {"type": "boolean", "default": True},
    },
]


def describe_explanations() -> dict[str, Any]:
    """Return ``paths`` and ``components`` of the OpenAPI document."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=TEMPLATE)
    logged = {
        "summary": "Read a request as it was answered.",
        "operationId": "prediction",
        "parameters": [_ID, REQUEST_ID],
        "responses": responses(Answered[LoggedAnswer], _ERRORS, Refusal),
    }
    errors = _ERRORS | {409: "The version that answered cannot explain it here; the sentence says why."}
    explained = {
        "summary": "Explain a request: features as they were, what each moved the score by, the events behind them.",
        "operationId": "explanation",
        "parameters": [_ID, *_PARAMETERS, REQUEST_ID],
        "responses": responses(Answered[Explanation], errors, Refusal),
    }
    one = f"{PREFIX}/{{request_id}}"
    paths = {one: {"get": logged}, f"{one}/explanation": {"get": explained}}
    return {"paths": paths, "components": {"schemas": schemas}}
