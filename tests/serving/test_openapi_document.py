"""The OpenAPI document: of every route, with every reference, and nothing said twice in different words."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from tests.serving.models_at_hand import FEATURES, StandInRegistry, StandInStore

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.serving import app as served
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.documents.openapi_document import document, operations
from orita.serving.documents.page import document_page
from orita.testing.asgi import AsgiClient
from orita.testing.serving import HashedFeatures, load_line_package

_OF_THE_DOCUMENT = {"/openapi.json", "/docs"}


@pytest.fixture
def app(home: Home, clock: ManualClock) -> Starlette:
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
def whole(app: Starlette) -> dict[str, Any]:
    """Its document."""
    found: dict[str, Any] = app.state.document()
    return found


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


def test_every_route_and_nothing_else(app: Starlette, whole: dict[str, Any]) -> None:
    """What is routed is described with its methods, but for what refuses unknown paths; nothing else is."""
    described = {(path, method.upper()) for path, method, _ in operations(whole)}
    routed = set()
    for route in app.router.routes:
        if isinstance(route, Route) and route.path not in _OF_THE_DOCUMENT and not _refuses(route):
            path = route.path.replace(":path}", "}")
            routed |= {(path, method) for method in (route.methods or set()) - {"HEAD"}}
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


def test_a_schema_says_the_same_to_all(app: Starlette, whole: dict[str, Any]) -> None:
    """Faces that describe a schema of one name describe the same fields: none hides another."""
    seen: dict[str, tuple[str, set[str]]] = {}
    described = [describe() for face in app.state.faces for describe in face.described]
    for part in described:
        for name, schema in part["components"]["schemas"].items():
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
    assert [path for path in app.state.document()["paths"] if path.startswith(hidden)] == []


class _Page(HTMLParser):
    """What a page names: ids, links, elements that would run or load something."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loading: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        given = dict(attrs)
        self.ids |= {given["id"] or ""} if "id" in given else set()
        self.links |= {given["href"] or ""} if tag == "a" else set()
        self.loading += [tag] if tag in {"script", "link", "img", "iframe", "object"} or "src" in given else []
        self.open += [] if tag == "meta" else [tag]

    def handle_endtag(self, tag: str) -> None:
        """Note that the last element ends."""
        assert self.open.pop() == tag


def test_the_page_tells_all_of_the_document(app: Starlette, whole: dict[str, Any]) -> None:
    """``/docs`` has every operation and every schema, whose links lead somewhere, and loads nothing from anywhere."""
    with AsgiClient(app) as client:
        answer = client.get("/docs")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    page = _Page()
    page.feed(answer.text)
    assert page.open == []
    assert page.loading == []
    assert page.ids == set(whole["components"]["schemas"])
    assert page.links == {f"#{name}" for name in page.ids} | {"openapi.json"}
    for path, method, operation in operations(whole):
        assert f"<b>{method.upper()}</b>{path}</code> {escape(operation['summary'])}" in answer.text


def test_what_is_described_is_escaped() -> None:
    """A summary, an example and a schema with signs of HTML stand on the page as they are."""
    sign = '<script>&"'
    content = {"application/json": {"schema": {"type": "string"}, "example": {sign: sign}}}
    operation = {"summary": sign, "requestBody": {"content": content}, "responses": {"200": {"description": sign}}}
    info = {"title": sign, "summary": sign, "version": "1"}
    schemas = {"Asked": {"description": sign}}
    described = {"info": info, "paths": {"/a": {"post": operation}}, "components": {"schemas": schemas}}
    page = document_page(described)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 8


def test_the_document_is_made_when_it_is_asked_for(app: Starlette, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with the server, and once: every start would wait for what few servers are asked for."""
    made: list[str] = []

    def make(title: str, *_: object) -> dict[str, Any]:
        made.append(title)
        return {"paths": {}}

    monkeypatch.setattr(served, "document", make)
    with AsgiClient(app) as client:
        assert client.get("/health/live").status == 200
        assert made == []
        assert client.get("/openapi.json").json() == client.get("/openapi.json").json() == {"paths": {}}
    assert made == ["Orita"]
