"""The description of ``/api/v1/rollouts``, made from the types that it decodes and encodes."""

from __future__ import annotations

from typing import Any

import msgspec

from orita.delivery.rollouts.standing import Standing
from orita.serving.documents.openapi import REQUEST_ID, TEMPLATE, reference, responses
from orita.serving.http.envelope import Answered, Refusal
from orita.serving.rollouts.messages import (
    RolloutAcknowledgement,
    RolloutDecision,
    RolloutList,
    RolloutPromotion,
    RolloutRequest,
)
from orita.serving.rollouts.routes import COMMANDS, PREFIX

__all__ = ["describe_rollouts"]

_TYPES = (
    Answered[Standing],
    Answered[RolloutList],
    RolloutRequest,
    RolloutDecision,
    RolloutAcknowledgement,
    RolloutPromotion,
    Refusal,
)
_ERRORS = {
    404: "There is no such rollout, or rollouts are off on this server.",
    422: "A field, a parameter or a header has a wrong value.",
    500: "The request could not be answered.",
    503: "Rollouts cannot be had now, or as much is under way as may be; see Retry-After.",
}
_CHANGE = {
    400: "The body is not JSON.",
    403: "The caller may not change what users get.",
    409: "It cannot be decided now; the sentence says why.",
    413: "The body is too long.",
    415: "The body is compressed.",
}
_ID = {
    "name": "rollout_id",
    "in": "path",
    "required": True,
    "description": "The rollout's id, as the list tells it.",
    "schema": {"type": "string", "minLength": 1},
}
_SYSTEM = {
    "name": "system",
    "in": "query",
    "required": False,
    "description": "Only rollouts of this system.",
    "schema": {"type": "string"},
}
_SUMMARIES = {
    "pause": "Stop the way up; harm that is proven takes the version back all the same.",
    "resume": "Go on with a rollout that is paused.",
    "advance": "Go to the next step without waiting for the analysis.",
    "abort": "End a rollout: everybody gets the champion.",
}
_MEANT = {"reason": "Another type of model, another scale.", "checks": ["scores"]}
_PLAN = {"plan": {"strategy": "canary", "versions": ["v1.3.0"]}, "reason": "Knows topics."}


def describe_rollouts() -> dict[str, Any]:
    """Return ``paths`` and ``components`` of the OpenAPI document."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=TEMPLATE)
    one = f"{PREFIX}/{{rollout_id}}"
    listed = _operation("list", "List rollouts of all systems.", RolloutList, _ERRORS)
    listed["parameters"].append(_SYSTEM)
    begun = _operation("start", "Begin a rollout of this server's system.", Standing, _ERRORS | _CHANGE)
    begun["responses"]["201"] = begun["responses"].pop("200")
    promoted = _operation("promote", "Make a version the champion.", Standing, _ERRORS | _CHANGE)
    acknowledged = _operation("acknowledge", "Say that what holds a rollout is meant.", Standing, _ERRORS | _CHANGE)
    paths: dict[str, Any] = {
        PREFIX: {"get": listed, "post": _with_body(begun, RolloutRequest, _PLAN)},
        one: {"parameters": [_ID], "get": _operation("get", "Read a rollout.", Standing, _ERRORS)},
        f"{one}/promote": {
            "parameters": [_ID],
            "post": _with_body(promoted, RolloutPromotion, {"reason": "Better for all."}),
        },
        f"{one}/acknowledge": {
            "parameters": [_ID],
            "post": _with_body(acknowledged, RolloutAcknowledgement, _MEANT),
        },
    }
    for name in COMMANDS:
        operation = _operation(name, _SUMMARIES[name], Standing, _ERRORS | _CHANGE)
        described = _with_body(operation, RolloutDecision, {"reason": "Asked by support."})
        paths[f"{one}/{name}"] = {"parameters": [_ID], "post": described}
    return {"paths": paths, "components": {"schemas": schemas}}


def _operation(name: str, summary: str, answer: type, errors: dict[int, str]) -> dict[str, Any]:
    return {
        "summary": summary,
        "operationId": f"rollouts_{name}",
        "tags": ["rollouts"],
        "parameters": [REQUEST_ID],
        "responses": responses(Answered[answer], errors, Refusal),  # type: ignore[valid-type]
    }


def _with_body(operation: dict[str, Any], body: type, example: object) -> dict[str, Any]:
    content = {"application/json": {"schema": reference(body), "example": example}}
    return operation | {"requestBody": {"required": True, "content": content}}
