"""The OpenAPI document: of every route, with every reference, and nothing said twice in different words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.routing import Route
from tests.serving.models_at_hand import FEATURES, StandInRegistry, StandInStore

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.openapi_document import document, operations
from orita.testing.serving import HashedFeatures, load_line_package

_OF_THE_FRAMEWORK = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"}


@pytest.fixture
def app(home: Home, clock: ManualClock) -> FastAPI:
    """An app with all faces that need nothing else."""
    return create_app(
        home,
        "feed",
        HashedFeatures(FEATURES),
        ServingConfig(expose_config=True),
        store=StandInStore(),
        clock=clock,
        load=load_line_package,
        registry=StandInRegistry(home),
    )


@pytest.fixture
def whole(app: FastAPI) -> dict[str, Any]:
    """Its document."""
    return app.openapi()


def references(part: Any) -> Iterator[str]:
    """Yield every reference in *part*."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


def test_every_route_and_nothing_else(app: FastAPI, whole: dict[str, Any]) -> None:
    """What is routed is described with its methods, but for what refuses unknown paths; nothing else is."""
    described = {(path, method.upper()) for path, method, _ in operations(whole)}
    routed = set()
    for route in app.router.routes:
        if isinstance(route, Route) and route.path not in _OF_THE_FRAMEWORK and not _refuses(route):
            routed |= {(route.path, method) for method in (route.methods or set()) - {"HEAD"}}
    assert described == routed - {("/v2/", "GET")}  # the same as /v2


def _refuses(route: Route) -> bool:
    return route.methods is None or "TRACE" in route.methods


def test_every_reference_is_there(whole: dict[str, Any]) -> None:
    """Each reference names a schema of the document, and each schema is named by something."""
    named = {reference.removeprefix("#/components/schemas/") for reference in references(whole)}
    assert named == set(whole["components"]["schemas"])


def test_operations_have_names_of_their_own(whole: dict[str, Any]) -> None:
    """Each operation has a summary, and an id where it has one that no other has."""
    ids = [operation["operationId"] for _, _, operation in operations(whole) if "operationId" in operation]
    assert len(ids) == len(set(ids))
    assert all(operation["summary"] for _, _, operation in operations(whole))


def test_what_any_request_may_be_answered(whole: dict[str, Any]) -> None:
    """Every operation tells of refusals by the connection, of request ids, and when to come again."""
    for path, method, operation in operations(whole):
        answers = operation["responses"]
        assert {"400", "408", "431", "503"} <= set(answers), (path, method)
        assert ("requestBody" in operation) == ({"413", "415"} <= set(answers)), (path, method)
        for status, answer in answers.items():
            wanted = {"X-Request-Id", "Retry-After"} if status == "503" else {"X-Request-Id"}
            assert wanted <= set(answer["headers"]), (path, method, status)


def test_a_schema_says_the_same_to_all(app: FastAPI, whole: dict[str, Any]) -> None:
    """Faces that describe a schema of one name describe the same fields: none hides another."""
    seen: dict[str, tuple[str, set[str]]] = {}
    for face in app.state.described:
        for name, schema in face["components"]["schemas"].items():
            fields = (schema.get("description", ""), set(schema.get("properties", ())))
            assert seen.setdefault(name, fields) == fields, name


def test_bounds_of_the_owner_hold() -> None:
    """Of a schema that two faces describe the first holds, with its bounds."""
    error = {"ErrorAnswer": {"type": "object"}}
    first = {"paths": {}, "components": {"schemas": error | {"Asked": {"maxItems": 3}}}}
    second: dict[str, Any] = {"paths": {}, "components": {"schemas": {"Asked": {}}}}
    assert document("t", "s", [first, second])["components"]["schemas"]["Asked"] == {"maxItems": 3}


def test_what_is_off_is_not_described(home: Home, clock: ManualClock) -> None:
    """A server that others reach describes only what it answers there."""
    config = ServingConfig(host="0.0.0.0")
    app = create_app(home, "feed", HashedFeatures(FEATURES), config, clock=clock, load=load_line_package)
    hidden = ("/api/v1/models", "/api/v1/features", "/graphql", "/v2", "/config")
    assert [path for path in app.openapi()["paths"] if path.startswith(hidden)] == []
