"""The description of ``/api/v1/models``, made from the types that it decodes and encodes."""

from __future__ import annotations

from typing import Any

import msgspec

from orita.serving.documents.openapi import DEADLINE, PRIORITY, REQUEST_ID, TEMPLATE, reference, responses
from orita.serving.http.envelope import Answered, Refusal
from orita.serving.predict.predictor import PredictAnswer
from orita.serving.predict.requests import PredictRequest
from orita.serving.resources.messages import MOST_MODELS, MOST_OFFSET, MOST_TAGS, PAGE, Model, ModelPage, ModelUpdate
from orita.serving.resources.routes import PREFIX, STAGES

__all__ = ["describe_models"]

_TYPES = (
    Answered[Model],
    Answered[ModelPage],
    Answered[PredictAnswer],
    ModelUpdate,
    PredictRequest,
    Refusal,
)
_ERRORS = {
    404: "There is no such model, or models are off on this server.",
    422: "A field, a parameter or a header has a wrong value.",
    500: "The request could not be answered.",
    503: "Models cannot be had now, or as much is under way as may be; see Retry-After.",
}
_BODY = {400: "The body is not JSON.", 413: "The body is too long.", 415: "The body is compressed."}
_CHANGE = {403: "The caller may not change models."}
_MOVED = {409: "Its stage cannot become that one; the sentence says why."}
_PREDICT = _BODY | {
    409: "Its package is not in the package store, or it reads features that are not known any more.",
    410: "It is retired.",
    504: "The deadline passed.",
}
_ID = {
    "name": "model_id",
    "in": "path",
    "required": True,
    "description": "The model's id, as the list tells it.",
    "schema": {"type": "string", "minLength": 1},
}
_UPDATE = {"description": "The first one with topics.", "tags": {"team": "ads"}, "stage": "production"}
_REQUEST = {"user_id": 123, "item_ids": [1001, 1002]}


def describe_models() -> dict[str, Any]:
    """Return ``paths`` and ``components`` of the OpenAPI document."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=TEMPLATE)
    schemas[ModelUpdate.__name__]["properties"]["tags"]["maxProperties"] = MOST_TAGS
    one = f"{PREFIX}/{{model_id}}"
    paths = {
        PREFIX: {"get": _list()},
        one: {
            "parameters": [_ID],
            "get": _operation("get", "Read a model.", Model, _ERRORS),
            "put": _with_body(
                _operation(
                    "update",
                    "Say what a model is, deploy it, or take it back.",
                    Model,
                    _ERRORS | _CHANGE | _BODY | _MOVED,
                ),
                ModelUpdate,
                _UPDATE,
            ),
            "delete": _operation(
                "retire", "Put a model out of use; its package stays.", Model, _ERRORS | _CHANGE | _MOVED
            ),
        },
        f"{one}/predict": {
            "parameters": [_ID, DEADLINE, PRIORITY],
            "post": _with_body(
                _operation("predict", "Rank items for a user with this model.", PredictAnswer, _ERRORS | _PREDICT),
                PredictRequest,
                _REQUEST,
            ),
        },
    }
    return {"paths": paths, "components": {"schemas": schemas}}


def _list() -> dict[str, Any]:
    operation = _operation("list", "List models, the newest version first.", ModelPage, _ERRORS)
    bounds = {"limit": (1, MOST_MODELS, PAGE), "offset": (0, MOST_OFFSET, 0)}
    for name, (least, most, default) in bounds.items():
        schema = {"type": "integer", "minimum": least, "maximum": most, "default": default}
        operation["parameters"].append({"name": name, "in": "query", "required": False, "schema": schema})
    stage = {
        "name": "stage",
        "in": "query",
        "required": False,
        "description": "Only models that stand there; left out, all but the retired.",
        "schema": {"type": "string", "enum": list(STAGES)},
    }
    operation["parameters"].append(stage)
    return operation


def _operation(name: str, summary: str, answer: type, errors: dict[int, str]) -> dict[str, Any]:
    return {
        "summary": summary,
        "operationId": f"models_{name}",
        "tags": ["models"],
        "parameters": [REQUEST_ID],
        "responses": responses(Answered[answer], errors, Refusal),  # type: ignore[valid-type]
    }


def _with_body(operation: dict[str, Any], body: type, example: object) -> dict[str, Any]:
    content = {"application/json": {"schema": reference(body), "example": example}}
    return operation | {"requestBody": {"required": True, "content": content}}
