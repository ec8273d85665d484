"""Who may ask what: what a server asks of who knows its callers, on every face."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.serving.models_at_hand import FEATURES, StandInRegistry, StandInStore, publish_model

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.serving.access.callers import Caller, LocalCallers, Permission, Visitor
from orita.serving.access.permissions import PROBES
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.documents.openapi_document import operations
from orita.serving.http.refusal import Refused
from orita.testing.asgi import Answer, AsgiClient
from orita.testing.serving import HashedFeatures, load_line_package

PREDICT = {"user_id": 1, "item_ids": [1, 2]}


class Doorkeeper:
    """Remembers what was asked of it, and lets in whom it is told to."""

    everybody: frozenset[Permission] = frozenset()

    def __init__(self, granted: frozenset[str], status: int = 403) -> None:
        self.granted, self.status = granted, status
        self.asked: list[tuple[Permission | None, Visitor]] = []

    async def caller(self, permission: Permission | None, visitor: Visitor, /) -> Caller:
        """Return who asks."""
        self.asked.append((permission, visitor))
        if (permission or "known") not in self.granted:
            raise Refused(self.status, "unauthorized" if self.status == 401 else "forbidden", f"no {permission}.")
        return Caller("ada")


@pytest.fixture
def keeper() -> Doorkeeper:
    """One that lets nobody in."""
    return Doorkeeper(frozenset())


@pytest.fixture
def registry(home: Home) -> StandInRegistry:
    """A registry that promotes."""
    return StandInRegistry(home)


@pytest.fixture
def client(home: Home, clock: ManualClock, keeper: Doorkeeper, registry: StandInRegistry) -> Iterator[AsgiClient]:
    """A client of a server with all its faces, behind the doorkeeper."""
    publish_model(home, "v1.0.0", deploy=True)
    app = create_app(
        home,
        "feed",
        HashedFeatures(FEATURES),
        ServingConfig(expose_config=True),
        store=StandInStore(),
        clock=clock,
        load=load_line_package,
        registry=registry,
        explain=lambda identity, /, *, items, top, lineage: {"items": [], "rows": 0},
        callers=keeper,
    )
    with AsgiClient(app) as client:
        yield client


def asked(client: AsgiClient, path: str, method: str) -> Answer:
    """Send a request to a path of the document."""
    filled = re.sub(r"\{[a-z_]+\}", "x", path)
    return client.send(method.upper(), filled, [b"{}"], {"content-type": "application/json"}, whole=True)


def every_operation(client: AsgiClient) -> list[tuple[str, str, dict[str, Any]]]:
    """Return path, method and description of all that the server answers."""
    found = list(operations(client.app.state.document()))  # type: ignore[attr-defined]
    assert len(found) > 25
    return found


@pytest.mark.parametrize("status", [401, 403])
def test_every_face_asks_who_it_is(client: AsgiClient, keeper: Doorkeeper, status: int) -> None:
    """Where nobody may anything, every operation of the document is refused in a form that the document has, and only
    probes answer."""
    keeper.status = status
    for path, method, described in every_operation(client):
        answer = asked(client, path, method)
        if path in PROBES:
            assert answer.status not in (401, 403), (path, method)
            continue
        assert answer.status == status, (path, method)
        assert answer.headers["x-request-id"], (path, method)
        assert ("www-authenticate" in answer.headers) == (status == 401)
        assert str(status) in described["responses"], (path, method)
        assert "no " in answer.text
    for path in ("/openapi.json", "/docs", "/nowhere", "/predict/"):
        assert client.get(path).status == status
    assert client.app.state.quick.route(b"/predict", ()) is None, "the short way cannot ask"  # type: ignore[attr-defined]


def test_what_each_path_needs(client: AsgiClient, keeper: Doorkeeper) -> None:
    """Each operation needs the permission that the contract names for it."""
    needed = {}
    for path, method, _ in every_operation(client):
        keeper.asked.clear()
        asked(client, path, method)
        needed[f"{method.upper()} {path}"] = [permission for permission, _ in keeper.asked]
    assert {needed[one][0] for one in needed if one.endswith(("/predict", "/infer", "/feed"))} == {"model:predict"}
    wanted = {
        "POST /api/v1/jobs": "model:predict",
        "POST /api/v1/features/push": "data:write",
        "POST /api/v1/features/online": "data:read",
        "POST /api/v1/features/offline": "data:read",
        "GET /api/v1/predictions/{request_id}": "data:read",
        "GET /api/v1/models": "model:read",
        "PUT /api/v1/models/{model_id}": "model:write",
        "DELETE /api/v1/models/{model_id}": "model:write",
        "GET /v2/models/{name}": "model:read",
        "GET /metrics": "model:read",
        "GET /config": "model:read",
        "POST /graphql": None,
    }
    assert {one: needed[one] for one in wanted} == {one: [permission] for one, permission in wanted.items()}


def test_who_has_a_permission_is_answered(client: AsgiClient, keeper: Doorkeeper) -> None:
    """A caller with one permission gets what it allows, with what they sent in hand, and nothing else."""
    keeper.granted = frozenset(("model:predict",))
    answer = client.post("/predict", json=PREDICT, headers={"authorization": "Bearer t"})
    assert answer.status == 200
    ((permission, visitor),) = keeper.asked
    assert permission == "model:predict"
    assert (b"authorization", b"Bearer t") in visitor.headers
    assert visitor.peer == "127.0.0.1"
    assert client.get("/api/v1/models").status == 403
    assert client.get("/metrics", {"accept": "text/plain"}).status == 403
    keeper.granted = frozenset(("model:read",))
    told = client.get("/metrics", {"accept": "text/plain"}).text
    assert 'turned_away_requests_total{code="forbidden"} 2.0' in told


def test_a_document_of_graphql_asks_for_each_field(
    client: AsgiClient, keeper: Doorkeeper, registry: StandInRegistry
) -> None:
    """Who is known may send a document; each of its fields needs a permission of its own."""
    keeper.granted = frozenset(("known", "model:read"))
    listed = client.post("/graphql", json={"query": "{models {id}}"}, headers={"content-type": "application/json"})
    assert "errors" not in listed.json()
    one = listed.json()["data"]["models"][0]["id"]
    deploy = f'mutation {{deployModel(modelId: "{one}", environment: "production") {{environment}}}}'
    refused = client.post("/graphql", json={"query": deploy}, headers={"content-type": "application/json"})
    assert refused.json()["errors"][0]["extensions"]["code"] == "forbidden"
    assert registry.asked == []


@pytest.mark.parametrize(
    ("peer", "headers", "allowed"),
    [
        ("127.0.0.1", {"host": "127.0.0.1:8080"}, True),
        ("::1", {"host": "[::1]:8080"}, True),
        ("127.0.0.1", {"host": "localhost"}, True),
        ("10.0.0.7", {"host": "127.0.0.1:8080"}, False),
        (None, {"host": "127.0.0.1:8080"}, False),
        ("127.0.0.1", {}, False),
        ("127.0.0.1", {"host": "evil.example"}, False),
        ("127.0.0.1", {"host": "localhost", "x-forwarded-for": "127.0.0.1"}, False),
        ("127.0.0.1", {"host": "localhost", "x-forwarded-host": ""}, False),
        ("127.0.0.1", {"host": "localhost", "forwarded": "for=127.0.0.1"}, False),
        ("127.0.0.1", {"host": "localhost", "x-real-ip": "127.0.0.1"}, False),
        ("127.0.0.1", {"host": "localhost", "x-forwarded-proto": "https"}, False),
        ("127.0.0.1", {"host": "localhost", "x-forwarded-port": "443"}, False),
        ("127.0.0.1", {"host": "localhost", "x-forward-plan": "a"}, True),
    ],
)
def test_who_changes_models_by_default(peer: str | None, headers: dict[str, str], allowed: bool) -> None:
    """Only who is at this machine, by an address that they cannot choose and with nobody between; all may the rest."""
    visitor = Visitor([(name.encode(), value.encode()) for name, value in headers.items()], peer)

    def may(permission: Permission, host: str = "127.0.0.1") -> bool:
        try:
            asyncio.run(LocalCallers(host).caller(permission, visitor))
        except Refused as refused:
            assert (refused.status, refused.code) == (403, "forbidden")
            return False
        return True

    assert all(may(permission) for permission in LocalCallers.everybody)
    assert may("model:write") == allowed
    assert not may("model:write", "0.0.0.0")
