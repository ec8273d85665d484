"""The description of the server's endpoints, made from the types that they decode and encode."""

from __future__ import annotations

from typing import Any

import msgspec

from orita.serving.config import ServingConfig
from orita.serving.http.refusal import ErrorAnswer
from orita.serving.predict.predictor import PredictAnswer
from orita.serving.predict.requests import Context, PredictRequest
from orita.serving.status import ConfigAnswer, HealthAnswer, ProbeAnswer
from orita.serving.telemetry.metrics import MetricsAnswer
from orita.serving.workers.together import WorkerStatus

__all__ = ["DEADLINE", "PRIORITY", "REQUEST_ID", "TEMPLATE", "describe", "reference", "response", "responses"]

_TYPES = (PredictRequest, PredictAnswer, ErrorAnswer, HealthAnswer, ProbeAnswer, MetricsAnswer, ConfigAnswer)
TEMPLATE = "#/components/schemas/{name}"
_REQUEST_ID_HEADER = {"schema": {"type": "string"}, "description": "The request's id, given or made."}
REQUEST_ID = {
    "name": "X-Request-Id",
    "in": "header",
    "required": False,
    "description": "Joins feedback to the answer; made if not given.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:/+=-]{1,128}$"},
}
DEADLINE = {
    "name": "X-Request-Timeout-Ms",
    "in": "header",
    "required": False,
    "description": "Milliseconds after which nobody waits for the answer any more.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
}
PRIORITY = {
    "name": "X-Request-Priority",
    "in": "header",
    "required": False,
    "description": "How soon it is given up where there is too much to do.",
    "schema": {"type": "string", "enum": ["critical", "normal", "low"]},
}
_EXAMPLE = {
    "user_id": 123,
    "item_ids": [1001, 1002],
    "context": {"device": "mobile", "timestamp": "2024-11-15T10:30:00Z"},
}


def describe(config: ServingConfig) -> dict[str, Any]:
    """Return ``paths`` and ``components`` of the OpenAPI document."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=TEMPLATE)
    items = schemas[PredictRequest.__name__]["properties"]["item_ids"]
    items |= {"minItems": 1, "maxItems": config.max_items, "uniqueItems": True}
    device = schemas[Context.__name__]["properties"]["device"]
    device["anyOf"] = [{"type": "string", "enum": list(config.devices)}, {"type": "null"}]
    schemas[HealthAnswer.__name__]["properties"] |= _of_workers(schemas)
    paths: dict[str, Any] = {
        "/predict": {"post": _predict()},
        "/health": {"get": _get("How the server is.", HealthAnswer, {503: "No model is loaded."}, HealthAnswer)},
        "/health/live": {"get": _probe("Whether this process works.", "It does not: start it again.")},
        "/health/ready": {"get": _probe("Whether this process wants requests.", "It does not; the answer says why.")},
        "/metrics": {"get": _metrics()},
        "/status": {"get": _status()},
    }
    if config.expose_config:
        paths["/config"] = {"get": _get("What the model is made of.", ConfigAnswer, {503: "No model is loaded."})}
    return {"paths": paths, "components": {"schemas": schemas}}


def _of_workers(schemas: dict[str, Any]) -> dict[str, Any]:
    """Return what ``GET /health`` tells besides where several workers answer, and add what it names to *schemas*."""
    (worker,), named = msgspec.json.schema_components([WorkerStatus], ref_template=TEMPLATE)
    schemas |= named
    number = {"type": "integer", "minimum": 1}
    return {"worker": number, "pid": number, "workers": {"type": "array", "items": worker}}


def _predict() -> dict[str, Any]:
    errors = {
        400: "The body is not JSON.",
        413: "The body is too long.",
        422: "A field is missing, unknown or has a wrong value.",
        500: "The request could not be answered.",
        503: "No model is loaded, the log is full, or there is too much to do; see Retry-After.",
        504: "The deadline passed.",
    }
    return {
        "summary": "Rank items for a user.",
        "operationId": "predict",
        "parameters": [REQUEST_ID, DEADLINE, PRIORITY],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": reference(PredictRequest), "example": _EXAMPLE}},
        },
        "responses": responses(PredictAnswer, errors, ErrorAnswer),
    }


def _get(summary: str, answer: type, errors: dict[int, str] | None = None, error: type = ErrorAnswer) -> dict[str, Any]:
    return {"summary": summary, "responses": responses(answer, errors or {}, error)}


def _probe(summary: str, failed: str) -> dict[str, Any]:
    return _get(summary, ProbeAnswer, {503: failed}, ProbeAnswer)


def _status() -> dict[str, Any]:
    answer = {
        "description": "The page.",
        "headers": {"X-Request-Id": _REQUEST_ID_HEADER},
        "content": {"text/html": {"schema": {"type": "string"}}},
    }
    return {"summary": "How the server is, as a page for people.", "responses": {"200": answer}}


def _metrics() -> dict[str, Any]:
    described = _get("What the server counted; Prometheus' text when Accept asks for it.", MetricsAnswer)
    text = {"schema": {"type": "string"}}
    content = described["responses"]["200"]["content"]
    content |= {"text/plain": text, "application/openmetrics-text": text}
    return described


def responses(answer: Any, errors: dict[int, str], error: Any) -> dict[str, Any]:
    """Return the responses of an operation: *answer*, and *error* for each status of *errors*."""
    described = {"200": response("The answer.", answer)}
    described |= {str(status): response(text, error) for status, text in errors.items()}
    return described


def response(text: str, body: Any) -> dict[str, Any]:
    """Return one response, whose body is a *body*."""
    return {
        "description": text,
        "headers": {"X-Request-Id": _REQUEST_ID_HEADER},
        "content": {"application/json": {"schema": reference(body)}},
    }


def reference(kind: Any) -> dict[str, str]:
    """Return the reference to the schema of *kind*."""
    (found,), _ = msgspec.json.schema_components([kind], ref_template=TEMPLATE)
    return dict(found)
