"""The description of ``/api/v1/jobs``, made from the types that it decodes and encodes."""

from __future__ import annotations

from typing import Any

import msgspec

from orita.serving.config import ServingConfig
from orita.serving.documents.openapi import DEADLINE, REQUEST_ID, TEMPLATE, describe, reference, response, responses
from orita.serving.http.envelope import Answered, Refusal
from orita.serving.jobs.requests import PREFIX, JobAnswer, JobResult
from orita.serving.predict.requests import PredictRequest

__all__ = ["describe_jobs"]

_Answer = JobAnswer[list[JobResult]]
_ERRORS = {
    422: "A field or a header has a wrong value.",
    500: "The request could not be answered.",
    503: "The queue is full or away; see Retry-After.",
    504: "The deadline passed.",
}
_POST_ERRORS = {400: "The body is not JSON.", 413: "The body is too long.", 415: "The body is compressed."} | _ERRORS
_UNKNOWN = {404: "The job is not known, or not any more."}
_ONE, _SEVERAL = "JobOfOneRequest", "JobOfRequests"
_EXAMPLE = {"requests": [{"user_id": 123, "item_ids": [1001, 1002]}, {"user_id": 124, "item_ids": [1001]}]}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A job that is sent again with the same key and body is the same job.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
_URL = {"type": "string", "maxLength": 2048, "description": "Who is told of the end; its host must be declared."}
_LOCATION = {"schema": {"type": "string"}, "description": "Where to ask for the job."}


def describe_jobs(config: ServingConfig) -> dict[str, Any]:
    """Return ``paths`` and ``components`` of the OpenAPI document."""
    _, schemas = msgspec.json.schema_components((Answered[_Answer], Refusal), ref_template=TEMPLATE)
    one = describe(config)["components"]["schemas"][PredictRequest.__name__]
    url = {"callback_url": {"anyOf": [_URL, {"type": "null"}]}}
    schemas[_ONE] = one | {"title": _ONE, "properties": one["properties"] | url}
    requests = {
        "type": "array",
        "minItems": 1,
        "maxItems": config.jobs.max_requests,
        "items": reference(PredictRequest),
    }
    schemas[_SEVERAL] = {
        "title": _SEVERAL,
        "type": "object",
        "properties": {"requests": requests} | url,
        "required": ["requests"],
        "additionalProperties": False,
    }
    job = {"name": "job", "in": "path", "required": True, "schema": {"type": "string"}}
    one_of = [{"$ref": TEMPLATE.format(name=name)} for name in (_ONE, _SEVERAL)]
    taken = response("The job is taken in: it is durable.", Answered[_Answer])
    taken["headers"]["Location"] = _LOCATION
    submit = {
        "summary": "Take in predictions to be answered soon.",
        "operationId": "submit_job",
        "parameters": [REQUEST_ID, DEADLINE, _KEY],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"oneOf": one_of}, "example": _EXAMPLE}},
        },
        "responses": {"202": taken} | {str(status): response(text, Refusal) for status, text in _POST_ERRORS.items()},
    }
    return {
        "paths": {
            PREFIX: {"post": submit},
            f"{PREFIX}/{{job}}": {
                "get": _one("find_job", "Read a job, and its results.", job, _ERRORS | _UNKNOWN),
                "delete": _one(
                    "cancel_job", "Cancel a job that waits.", job, _ERRORS | _UNKNOWN | {409: "It has begun."}
                ),
            },
        },
        "components": {"schemas": schemas},
    }


def _one(name: str, summary: str, job: dict[str, Any], errors: dict[int, str]) -> dict[str, Any]:
    return {
        "summary": summary,
        "operationId": name,
        "parameters": [job, REQUEST_ID, DEADLINE],
        "responses": responses(Answered[_Answer], errors, Refusal),
    }
