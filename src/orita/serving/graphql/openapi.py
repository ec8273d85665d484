"""The description of ``/graphql``, made from the types that it decodes and encodes."""

from __future__ import annotations

from typing import Any

import msgspec

from orita.serving.documents.openapi import REQUEST_ID, TEMPLATE, reference, response
from orita.serving.graphql.messages import GraphqlAnswer, GraphqlRefusal, GraphqlRequest
from orita.serving.graphql.route import PATH

__all__ = ["describe_graphql"]

_TYPES = (GraphqlRequest, GraphqlAnswer, GraphqlRefusal)
_JSON, _GRAPHQL = "application/json", "application/graphql-response+json"
_ERRORS = {
    404: "GraphQL is off on this server.",
    413: "The body is too long.",
    415: "The body is not JSON, or it is compressed.",
    422: "A field is missing, unknown or has a wrong value.",
    500: "The request could not be answered.",
}
_EXAMPLE = {
    "query": "query Newest($limit: Int!) {models(limit: $limit) {id name version accuracy createdAt}}",
    "variables": {"limit": 5},
}


def describe_graphql() -> dict[str, Any]:
    """Return ``paths`` and ``components`` of the OpenAPI document; the graph itself is told by introspection."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=TEMPLATE)
    page = response("A page to write documents in.", GraphqlAnswer)
    page["content"] = {"text/html": {"schema": {"type": "string"}}}
    show = {
        "summary": "Show a page to write documents in.",
        "operationId": "graphql_page",
        "tags": ["graphql"],
        "parameters": [REQUEST_ID],
        "responses": {"200": page} | _told({404: _ERRORS[404], 422: "The request id is none.", 500: _ERRORS[500]}),
    }
    execute = {
        "summary": "Execute a document.",
        "operationId": "graphql",
        "tags": ["graphql"],
        "parameters": [REQUEST_ID],
        "requestBody": {
            "required": True,
            "content": {_JSON: {"schema": reference(GraphqlRequest), "example": _EXAMPLE}},
        },
        "responses": {"200": _executed()} | _told({400: "The body is not JSON, or the document is none."} | _ERRORS),
    }
    return {"paths": {PATH: {"get": show, "post": execute}}, "components": {"schemas": schemas}}


def _executed() -> dict[str, Any]:
    """Return the answer to a document: what it gave, or, to callers that know JSON alone, why it was not executed."""
    described = response("What the document gave; errors of fields are within it.", GraphqlAnswer)
    either = {"anyOf": [reference(GraphqlAnswer), reference(GraphqlRefusal)]}
    described["content"] = {_JSON: {"schema": either}, _GRAPHQL: {"schema": reference(GraphqlAnswer)}}
    return described


def _told(errors: dict[int, str]) -> dict[str, Any]:
    described = {str(status): response(text, GraphqlRefusal) for status, text in errors.items()}
    if "400" in described:
        described["400"]["content"][_GRAPHQL] = {"schema": reference(GraphqlRefusal)}
    return described
