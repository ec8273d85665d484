"""The description of ``POST /predict/batch``, made from the types that it decodes and encodes."""

from __future__ import annotations

from typing import Any

import msgspec

from orita.serving.batching.requests import BatchAnswer, BatchResult
from orita.serving.batching.route import MOST_ID, PATH
from orita.serving.config import ServingConfig
from orita.serving.documents.openapi import DEADLINE, PRIORITY, REQUEST_ID, TEMPLATE, describe, reference, responses
from orita.serving.http.refusal import ErrorAnswer
from orita.serving.predict.requests import PredictRequest

__all__ = ["describe_batches"]

_REQUEST = "BatchRequest"
_EXAMPLE = {"requests": [{"user_id": 123, "item_ids": [1001, 1002]}, {"user_id": 124, "item_ids": [1001]}]}
_ERRORS = {
    400: "The body is not JSON.",
    413: "The body is too long.",
    422: "A field is missing, unknown or has a wrong value; the sentence names the request. None was answered.",
    500: "The batch could not be answered.",
    503: "There is too much to do; see Retry-After.",
    504: "The deadline passed before the first turn.",
}


def describe_batches(config: ServingConfig) -> dict[str, Any]:
    """Return ``paths`` and ``components`` of the OpenAPI document."""
    _, schemas = msgspec.json.schema_components([BatchAnswer, BatchResult], ref_template=TEMPLATE)
    schemas[BatchAnswer.__name__]["properties"]["results"]["items"] = reference(BatchResult)
    requests = {
        "type": "array",
        "minItems": 1,
        "maxItems": config.batching.max_requests,
        "items": reference(PredictRequest),
        "description": f"At most {config.batching.max_items} items in all.",
    }
    schemas[_REQUEST] = {
        "title": _REQUEST,
        "type": "object",
        "properties": {"requests": requests},
        "required": ["requests"],
        "additionalProperties": False,
    }
    own_id = {"type": "string", "pattern": f"^[A-Za-z0-9._:/+=-]{{1,{MOST_ID}}}$"}
    operation = {
        "summary": "Rank items for many users; each request has its own answer or error.",
        "operationId": "predict_batch",
        "parameters": [REQUEST_ID | {"schema": own_id}, DEADLINE, PRIORITY],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": TEMPLATE.format(name=_REQUEST)}, "example": _EXAMPLE}},
        },
        "responses": responses(BatchAnswer, _ERRORS, ErrorAnswer),
    }
    return {
        "paths": {PATH: {"post": operation}},
        "components": {"schemas": {**describe(config)["components"]["schemas"], **schemas}},
    }
