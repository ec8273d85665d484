"""The description of ``/v2``, made from the types that it decodes and encodes."""

from __future__ import annotations

from typing import Any

import msgspec

from orita.serving.documents.openapi import DEADLINE, PRIORITY, REQUEST_ID, TEMPLATE, reference, response
from orita.serving.inference_protocol.answering import JSON_LENGTH
from orita.serving.inference_protocol.messages import (
    InferenceError,
    InferenceRequest,
    InferenceResponse,
    ModelMetadata,
    ModelReady,
    RequestInput,
    ServerHealth,
    ServerMetadata,
)
from orita.serving.inference_protocol.tensors import DATATYPES

__all__ = ["describe_inference"]

_TYPES = (
    InferenceRequest,
    InferenceResponse,
    InferenceError,
    ModelMetadata,
    ModelReady,
    ServerHealth,
    ServerMetadata,
)
_WRONG = {400: "The request is wrong; the sentence says where."}
_NOT_THERE = _WRONG | {404: "There is no such model or version."}
_AWAY = _NOT_THERE | {
    500: "The request could not be answered.",
    503: "The model cannot answer now, there is no room, or as much is under way as may be; see Retry-After.",
    504: "The deadline is past, or the model is still being loaded.",
}
_LONG = {413: "The body is too long."}
_BOTH = ("name", "version")
_EXAMPLE = {
    "id": "42",
    "inputs": [
        {"name": "features", "shape": [1, 2], "datatype": "FP32", "data": [[0.25, None]]},
        {"name": "users", "shape": [1], "datatype": "INT64", "data": [123]},
        {"name": "items", "shape": [1], "datatype": "INT64", "data": [1001]},
    ],
}


def describe_inference() -> dict[str, Any]:
    """Return ``paths`` and ``components`` of the OpenAPI document."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=TEMPLATE)
    told = schemas[RequestInput.__name__]["properties"]
    told["datatype"] = {"type": "string", "enum": list(DATATYPES)}
    told["shape"] |= {"maxItems": 8, "items": {"type": "integer", "minimum": 0}}
    told["data"] = {"type": "array", "description": "The elements, flat or nested as the shape is; null is missing."}
    paths: dict[str, Any] = {
        "/v2": {"get": _get("server", "Who answers.", ServerMetadata, _WRONG)},
        "/v2/health/live": {"get": _get("live", "Whether the process answers.", ServerHealth, _WRONG)},
        "/v2/health/ready": {"get": _get("ready", "Whether all models answer.", ServerHealth, _WRONG, ServerHealth)},
    }
    for path, parameters in (("/v2/models/{name}", ("name",)), ("/v2/models/{name}/versions/{version}", _BOTH)):
        of = "model" if parameters != _BOTH else "version"
        paths[path] = {"get": _get(of, "What a model takes and gives.", ModelMetadata, _AWAY)}
        paths[f"{path}/ready"] = {
            "get": _get(f"{of}_ready", "Whether a model can answer.", ModelReady, _NOT_THERE, ModelReady)
        }
        paths[f"{path}/infer"] = {"post": _infer(of)}
        for operation in (path, f"{path}/ready", f"{path}/infer"):
            paths[operation]["parameters"] = [_in_path(parameter) for parameter in parameters]
    return {"paths": paths, "components": {"schemas": schemas}}


def _get(
    name: str, summary: str, answer: type, errors: dict[int, str], not_ready: type | None = None
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": summary,
        "operationId": f"inference_{name}",
        "parameters": [REQUEST_ID, DEADLINE],
        "responses": _responses(answer, errors),
    }
    if not_ready is not None:
        described["responses"]["503"] = response("It is not ready.", not_ready)
    return described


def _infer(of: str) -> dict[str, Any]:
    length = {
        "name": JSON_LENGTH,
        "in": "header",
        "required": False,
        "description": "Bytes of the JSON, where binary data follows it.",
        "schema": {"type": "integer", "minimum": 0},
    }
    binary = {"schema": {"type": "string", "format": "binary"}}
    described: dict[str, Any] = {
        "summary": "Score tensors.",
        "operationId": f"inference_{of}_infer",
        "parameters": [REQUEST_ID, DEADLINE, PRIORITY, length],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": reference(InferenceRequest), "example": _EXAMPLE}},
        },
        "responses": _responses(InferenceResponse, _AWAY | _LONG),
    }
    described["responses"]["200"]["content"]["application/octet-stream"] = binary
    return described


def _responses(answer: type, errors: dict[int, str]) -> dict[str, Any]:
    described = {"200": response("The answer.", answer)}
    return described | {str(status): response(text, InferenceError) for status, text in errors.items()}


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
