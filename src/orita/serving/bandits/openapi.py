"""The description of ``/api/v1/bandits``, made from the types that it decodes and encodes."""

from __future__ import annotations

from typing import Any

import msgspec

from orita.serving.bandits.answering import DECISION
from orita.serving.bandits.messages import ChooseRequest, Chosen, Rewarded, RewardRequest
from orita.serving.bandits.routes import PREFIX
from orita.serving.documents.openapi import REQUEST_ID, TEMPLATE, reference, response
from orita.serving.http.envelope import Answered, Refusal

__all__ = ["describe_bandits"]

_KEY = {
    "name": "key",
    "in": "path",
    "required": True,
    "description": "The bandit.",
    "schema": {"type": "string", "minLength": 1},
}
_ERRORS = {
    400: "The body is not JSON.",
    404: "There is no such bandit.",
    413: "The body is too long.",
    422: "A field is unknown or has a wrong value.",
    500: "The request could not be answered.",
    503: "Too many wait, the bandits were not read yet, or it could not be logged; see Retry-After.",
}
_CHOSEN, _REWARDED = Answered[Chosen], Answered[Rewarded]


def describe_bandits() -> dict[str, Any]:
    """Return ``paths`` and ``components`` of the OpenAPI document."""
    types = (ChooseRequest, RewardRequest, _CHOSEN, _REWARDED, Refusal)
    _, schemas = msgspec.json.schema_components(types, ref_template=TEMPLATE)
    told = schemas[RewardRequest.__name__]["properties"]
    told["decision_id"]["pattern"] = f"^{DECISION}$"
    told["rewards"]["anyOf"] = [
        {"type": "object", "minProperties": 1, "additionalProperties": {"type": "number"}},
        {"type": "array", "minItems": 1, "items": {"type": "number"}},
    ]
    choose = _operation(
        "choose",
        "Pick arms of a bandit, and log the choice.",
        ChooseRequest,
        {200: response("What to show, with its propensities; it is logged durably.", _CHOSEN)},
        {"context": {}, "k": 1, "unit": 12},
        required=False,
    )
    reward = _operation(
        "reward",
        "Tell what came of a choice; counts once for each arm, however often it is sent.",
        RewardRequest,
        {
            202: response("It is logged durably, and learnt of within a second or two.", _REWARDED),
            404: response("There is no such bandit, or its choice was never given.", Refusal),
            410: response("The choice takes no rewards any more.", Refusal),
        },
        {"decision_id": "01932fb5-0640-7000-8000-000000000000", "rewards": {"short": 1}},
        required=True,
    )
    paths = {f"{PREFIX}/{{key}}/choose": {"post": choose}, f"{PREFIX}/{{key}}/reward": {"post": reward}}
    return {"paths": paths, "components": {"schemas": schemas}}


def _operation(
    name: str, summary: str, asked: type, answers: dict[int, Any], example: Any, *, required: bool
) -> dict[str, Any]:
    answers = {status: response(text, Refusal) for status, text in _ERRORS.items()} | answers
    content = {"application/json": {"schema": reference(asked), "example": example}}
    return {
        "summary": summary,
        "operationId": name,
        "parameters": [_KEY, REQUEST_ID],
        "requestBody": {"required": required, "content": content},
        "responses": {str(status): answer for status, answer in sorted(answers.items())},
    }
