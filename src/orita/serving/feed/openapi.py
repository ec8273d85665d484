"""The description of ``POST /api/v1/feed``, made from the types that it decodes and encodes."""

from __future__ import annotations

from typing import Any

import msgspec

from orita.serving.config import ServingConfig
from orita.serving.documents.openapi import REQUEST_ID, TEMPLATE, reference, responses
from orita.serving.feed.feed import FeedAnswer
from orita.serving.feed.requests import FeedRequest
from orita.serving.feed.route import PATH
from orita.serving.http.envelope import Answered, Refusal
from orita.serving.predict.requests import Context

__all__ = ["describe_feed"]

_TYPES = (FeedRequest, Answered[FeedAnswer], Refusal)
_ERRORS = {
    400: "The body is not JSON.",
    410: "The cursor is over.",
    413: "The body is too long.",
    422: "A field is missing, unknown or has a wrong value, or the cursor is none of this user's.",
    500: "The request could not be answered.",
    503: "No model or no item is known, the prediction log is full, or the server is busy; see Retry-After.",
    504: "The deadline passed.",
}
_EXAMPLE = {"user_id": 123, "limit": 20, "context": {"device": "mobile"}}


def describe_feed(config: ServingConfig) -> dict[str, Any]:
    """Return ``paths`` and ``components`` of the OpenAPI document."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=TEMPLATE)
    feed, asked = config.feed, schemas[FeedRequest.__name__]["properties"]
    asked["limit"]["anyOf"] = [{"type": "integer", "minimum": 1, "maximum": feed.most_limit}, {"type": "null"}]
    asked["cursor"]["anyOf"] = [
        {"type": "string", "minLength": 1, "maxLength": feed.cursor.max_bytes},
        {"type": "null"},
    ]
    device = schemas[Context.__name__]["properties"]["device"]
    device["anyOf"] = [{"type": "string", "enum": list(config.devices)}, {"type": "null"}]
    operation = {
        "summary": "Give a user a page of the feed.",
        "operationId": "feed",
        "parameters": [REQUEST_ID],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": reference(FeedRequest), "example": _EXAMPLE}},
        },
        "responses": responses(Answered[FeedAnswer], _ERRORS, Refusal),
    }
    return {"paths": {PATH: {"post": operation}}, "components": {"schemas": schemas}}
