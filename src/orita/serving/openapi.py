"""The description of the server's endpoints, made from the types that they decode and encode."""

from __future__ import annotations

from typing import Any

import msgspec

from orita.serving.config import ServingConfig
from orita.serving.metrics import MetricsAnswer
from orita.serving.predictor import PredictAnswer
from orita.serving.refusal import ErrorAnswer
from orita.serving.requests import Context, PredictRequest
from orita.serving.status import ConfigAnswer, HealthAnswer

__all__ = ["describe"]

_TYPES = (PredictRequest, PredictAnswer, ErrorAnswer, HealthAnswer, MetricsAnswer, ConfigAnswer)
_REQUEST_ID = {"schema": {"type": "string"}, "description": "The request's id, given or made."}
_EXAMPLE = {
    "user_id": 123,
    "item_ids": [1001, 1002],
    "context": {"device": "mobile", "timestamp": "2024-11-15T10:30:00Z"},
}


def describe(config: ServingConfig) -> dict[str, Any]:
    """Return ``paths`` and ``components`` of the OpenAPI document."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
    items = schemas[PredictRequest.__name__]["properties"]["item_ids"]
    items |= {"minItems": 1, "maxItems": config.max_items, "uniqueItems": True}
    device = schemas[Context.__name__]["properties"]["device"]
    device["anyOf"] = [{"type": "string", "enum": list(config.devices)}, {"type": "null"}]
    paths: dict[str, Any] = {
        "/predict": {"post": _predict()},
        "/health": {"get": _get("How the server is.", HealthAnswer, {503: "No model is loaded."}, HealthAnswer)},
        "/metrics": {"get": _metrics()},
    }
    if config.expose_config:
        paths["/config"] = {"get": _get("What the model is made of.", ConfigAnswer, {503: "No model is loaded."})}
    return {"paths": paths, "components": {"schemas": schemas}}


def _predict() -> dict[str, Any]:
    errors = {
        400: "The body is not JSON.",
        413: "The body is too long.",
        422: "A field is missing, unknown or has a wrong value.",
        500: "The request could not be answered.",
        503: "No model is loaded, or the prediction log is full; see Retry-After.",
    }
    return {
        "summary": "Rank items for a user.",
        "operationId": "predict",
        "parameters": [
            {
                "name": "X-Request-Id",
                "in": "header",
                "required": False,
                "description": "Joins feedback to the answer; made if not given.",
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:/+=-]{1,128}$"},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _reference(PredictRequest), "example": _EXAMPLE}},
        },
        "responses": _responses(PredictAnswer, errors, ErrorAnswer),
    }


def _get(summary: str, answer: type, errors: dict[int, str] | None = None, error: type = ErrorAnswer) -> dict[str, Any]:
    return {"summary": summary, "responses": _responses(answer, errors or {}, error)}


def _metrics() -> dict[str, Any]:
    described = _get("What the server counted; Prometheus' text when Accept asks for it.", MetricsAnswer)
    text = {"schema": {"type": "string"}}
    content = described["responses"]["200"]["content"]
    content |= {"text/plain": text, "application/openmetrics-text": text}
    return described


def _responses(answer: type, errors: dict[int, str], error: type) -> dict[str, Any]:
    described = {"200": _response("The answer.", answer)}
    described |= {str(status): _response(text, error) for status, text in errors.items()}
    return described


def _response(text: str, body: type) -> dict[str, Any]:
    return {
        "description": text,
        "headers": {"X-Request-Id": _REQUEST_ID},
        "content": {"application/json": {"schema": _reference(body)}},
    }


def _reference(kind: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}
