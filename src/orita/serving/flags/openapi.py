"""The description of the OpenFeature Remote Evaluation Protocol as this server answers it."""

from __future__ import annotations

from typing import Any

import msgspec

from orita.serving.documents.openapi import REQUEST_ID, TEMPLATE, reference, response
from orita.serving.flags.messages import (
    BulkAnswer,
    EvaluationAnswer,
    EvaluationFailure,
    EvaluationRequest,
    GeneralFailure,
)
from orita.serving.flags.routes import PREFIX

__all__ = ["describe_flags"]

_MEDIA_TYPE = "application/json"
_ETAG = {"ETag": {"schema": {"type": "string"}, "description": "Of this answer: it changes with flags and context."}}
_KEY = {
    "name": "key",
    "in": "path",
    "required": True,
    "description": "The flag.",
    "schema": {"type": "string", "minLength": 1},
}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of an earlier answer: 304 where it would be the same.",
    "schema": {"type": "string"},
}


def describe_flags() -> dict[str, Any]:
    """Return ``paths`` and ``components`` of the OpenAPI document."""
    types = (EvaluationRequest, BulkAnswer, EvaluationAnswer, EvaluationFailure, GeneralFailure)
    _, schemas = msgspec.json.schema_components(types, ref_template=TEMPLATE)
    wrong = {"anyOf": [reference(EvaluationFailure), reference(GeneralFailure)]}
    one = {
        200: response("What the flag serves.", EvaluationAnswer),
        400: _of(response("The body or its context is wrong.", GeneralFailure), wrong),
        404: response("There is no such flag.", EvaluationFailure),
    }
    every = response("What every flag serves.", BulkAnswer)
    every["headers"] = {**every["headers"], **_ETAG}
    unchanged = response("It would be the answer that the caller has.", GeneralFailure)
    unchanged = {key: value for key, value in unchanged.items() if key != "content"}
    unchanged["headers"] = {**unchanged["headers"], **_ETAG}
    bulk = {200: every, 304: unchanged, 400: response("The body or its context is wrong.", GeneralFailure)}
    paths = {
        PREFIX: {"post": _operation("evaluate_flags", "Evaluate all flags.", [_IF_NONE_MATCH], bulk)},
        f"{PREFIX}/{{key}}": {"post": _operation("evaluate_flag", "Evaluate a flag.", [_KEY], one)},
    }
    return {"paths": paths, "components": {"schemas": schemas}}


def _operation(name: str, summary: str, parameters: list[Any], answers: dict[int, Any]) -> dict[str, Any]:
    failed = {422: "X-Request-Id is wrong.", 500: "It failed.", 503: "The flags were not read yet."}
    answers |= {status: response(text, GeneralFailure) for status, text in failed.items()}
    return {
        "summary": summary,
        "operationId": name,
        "parameters": [*parameters, REQUEST_ID],
        "requestBody": {"required": True, "content": {_MEDIA_TYPE: {"schema": reference(EvaluationRequest)}}},
        "responses": {str(status): answer for status, answer in sorted(answers.items())},
    }


def _of(answer: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    return answer | {"content": {_MEDIA_TYPE: {"schema": schema}}}
