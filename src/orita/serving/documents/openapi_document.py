"""One OpenAPI document of all that the server answers: what each face describes, and what holds for every request.

A connection may be refused before any face sees the request: it is no HTTP, it is too slow, its head is too long, there
are too many. Then the gate asks who sent it (`orita.serving.access.gate`). Those answers, and the headers that every
answer has, are added here to what the faces describe.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from orita.core.version import VERSION
from orita.serving.access.permissions import PROBES
from orita.serving.documents.openapi import reference, response
from orita.serving.http.refusal import ErrorAnswer

__all__ = ["document", "operations"]

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_ANY = {
    400: "It is no HTTP.",
    408: "It did not come whole in time.",
    431: "Its head is too long.",
    503: "As many connections are open as may be, or the server is overloaded; see Retry-After.",
}
_BEFORE_ANY_ROUTE = {
    401: "Nobody knows who asks.",
    403: "Who asks has not the permission, or a web page of another site sent it.",
}
_WITH_BODY = {413: "The body is too long.", 415: "The body is no JSON by its type, or it is compressed."}
_RETRY_AFTER = {"schema": {"type": "integer", "minimum": 0}, "description": "Seconds after which to ask again."}
_RETRIED = ("429", "503")
_MEDIA_TYPE = "application/json"


def document(title: str, summary: str, described: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        title, summary: of the server.
        described: ``paths`` and ``components`` of each face; of schemas of one name the first holds, as only the face
            that owns it states its bounds.
    """
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {ErrorAnswer.__name__: described[0]["components"]["schemas"][ErrorAnswer.__name__]}
    for face in described:
        paths |= face["paths"]
        schemas = face["components"]["schemas"] | schemas
    whole = {
        "openapi": "3.1.0",
        "info": {"title": title, "summary": summary, "version": VERSION},
        "paths": paths,
        "components": {"schemas": schemas},
    }
    for path, _, operation in operations(whole):
        _complete(operation, {} if path in PROBES else _BEFORE_ANY_ROUTE)
    return whole


def operations(whole: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the path, the method and the description of every operation of a document."""
    for path, item in whole["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


def _complete(operation: dict[str, Any], before: dict[int, str]) -> None:
    """Add to an operation what any request may be answered, and what may be said *before* its route is reached."""
    answers = operation["responses"]
    form = _error_form(answers)
    for status, text in _ANY.items():
        general = response(text, ErrorAnswer)
        answers[str(status)] = _either(answers.get(str(status), general | {"content": form}), general)
    for status, text in (before | (_WITH_BODY if "requestBody" in operation else {})).items():
        answers.setdefault(str(status), response(text, ErrorAnswer) | {"content": form})
    for retried in _RETRIED:
        if retried in answers:
            answers[retried]["headers"] = {**answers[retried]["headers"], "Retry-After": _RETRY_AFTER}


def _error_form(answers: dict[str, Any]) -> dict[str, Any]:
    """Return how an operation's own errors look."""
    own = next((answers[status] for status in ("422", "400", "404") if status in answers), None)
    content: dict[str, Any] = own["content"] if own else {_MEDIA_TYPE: {"schema": reference(ErrorAnswer)}}
    return content


def _either(own: dict[str, Any], general: dict[str, Any]) -> dict[str, Any]:
    """Return an answer that is the operation's *own* or the *general* one."""
    schema, error = own["content"][_MEDIA_TYPE]["schema"], reference(ErrorAnswer)
    if schema == error:
        return own
    both = schema.get("anyOf", [schema])
    content = own["content"] | {_MEDIA_TYPE: {"schema": {"anyOf": [*both, error]}}}
    texts = dict.fromkeys((own["description"], general["description"]))
    return own | {"description": " Or: ".join(texts), "content": content}
