"""The description of ``/api/v1/features``, made from the types that it decodes and encodes."""

from __future__ import annotations

from typing import Any

import msgspec

from orita.serving.config import ServingConfig
from orita.serving.documents.openapi import DEADLINE, REQUEST_ID, TEMPLATE, reference, response, responses
from orita.serving.features.requests import JobTaken, OfflineRequest, OnlineRequest, Pushed, PushRequest, RowsAnswer
from orita.serving.features.routes import PREFIX
from orita.serving.http.envelope import Answered, Refusal

__all__ = ["describe_features"]

_TYPES = (
    OnlineRequest,
    OfflineRequest,
    PushRequest,
    Answered[RowsAnswer],
    Answered[Pushed],
    Answered[JobTaken],
    Refusal,
)
_ERRORS = {
    400: "The body is not JSON.",
    404: "The feature store is off on this server.",
    413: "The body is too long.",
    422: "A field is missing, unknown or has a wrong value, or a feature is not declared.",
    500: "The request could not be answered.",
    503: "As much is under way as may be, nothing is published, or the log takes nothing; see Retry-After.",
}
_EVENT = {"interaction_id": "0193", "user_id": 123, "item_id": 1001, "timestamp": "2024-11-15T10:30:00Z", "click": 1}
_EXAMPLES: dict[str, Any] = {
    "online": {"user_id": 123, "item_ids": [1001, 1002], "features": ["item_ctr"], "context": {"device": "mobile"}},
    "offline": {"rows": [{"user_id": 123, "item_id": 1001, "timestamp": "2024-11-15T10:30:00Z"}], "as_of": "known"},
    "push": {"events": [_EVENT]},
}


def describe_features(config: ServingConfig) -> dict[str, Any]:
    """Return ``paths`` and ``components`` of the OpenAPI document."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=TEMPLATE)
    most = config.features.max_rows
    for kind, field, limit in (
        (OnlineRequest, "item_ids", config.max_items),
        (OfflineRequest, "rows", most),
        (PushRequest, "events", most),
    ):
        schemas[kind.__name__]["properties"][field] |= {"minItems": 1, "maxItems": limit}
    offline = _post("offline", "Read the features of rows, each as of its own time.", OfflineRequest, RowsAnswer)
    offline["parameters"].append(_WAIT)
    offline["responses"]["202"] = response("The job is under way.", Answered[JobTaken])
    push = _post("push", "Append events to the log.", PushRequest, Pushed)
    push["parameters"].append(DEADLINE)
    push["responses"]["504"] = response("The deadline passed; the events may be taken all the same.", Refusal)
    paths = {
        f"{PREFIX}/online": {
            "post": _post("online", "Read the features of a user and items.", OnlineRequest, RowsAnswer)
        },
        f"{PREFIX}/offline": {"post": offline},
        f"{PREFIX}/push": {"post": push},
        f"{PREFIX}/jobs/{{job}}": {"get": _job()},
    }
    return {"paths": paths, "components": {"schemas": schemas}}


_WAIT = {
    "name": "wait",
    "in": "query",
    "required": False,
    "description": "false: answer 202 with a job at once.",
    "schema": {"type": "boolean", "default": True},
}


def _post(name: str, summary: str, body: type, answer: type) -> dict[str, Any]:
    return {
        "summary": summary,
        "operationId": f"features_{name}",
        "parameters": [REQUEST_ID],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": reference(body), "example": _EXAMPLES[name]}},
        },
        "responses": responses(Answered[answer], _ERRORS, Refusal),  # type: ignore[valid-type]
    }


def _job() -> dict[str, Any]:
    described = responses(Answered[RowsAnswer], _ERRORS | {404: "The job is not known, or not any more."}, Refusal)
    described["202"] = response("The job is under way.", Answered[JobTaken])
    job = {"name": "job", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "summary": "Read what a job found: the answer that its request would have had.",
        "operationId": "features_job",
        "parameters": [job, REQUEST_ID],
        "responses": described,
    }
