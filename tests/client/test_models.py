"""Models, as the clients read, change and ask them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.client.wire import enveloped, refusal, wire

from orita.client import Model, Refused
from orita.core.errors import UserError

Opened = Callable[..., Any]


def model(version: str) -> dict[str, object]:
    """Return a model as a server tells it, with a field that is new."""
    told: dict[str, object] = {"id": f"m-{version}", "name": "feed", "version": version, "type": "two_tower"}
    told |= {"stage": "available", "accuracy": None, "metrics": {"auc": 0.75, "map": None}, "run_id": "run-1"}
    told |= {"created_at": "2024-11-15T06:00:00Z", "deployed_at": None, "retired_at": None}
    return told | {"feature_schema_version": "abc", "description": "", "tags": {"team": "ads"}, "new": 1}


def page(versions: list[str], next_offset: int | None) -> str:
    """Return the data of a page."""
    models = [model(version) for version in versions]
    return json.dumps({"models": models, "total": 3, "limit": 100, "offset": 0, "next_offset": next_offset})


def test_one_model(opened: Opened) -> None:
    """Typed; what is in a path is written so that it stays one part of it."""
    with wire([enveloped(json.dumps(model("v1")))]) as server, opened(server.url) as ask:
        found = ask("models.get", "a/b?c")
    assert isinstance(found, Model)
    assert (found.version, found.metrics, found.tags) == ("v1", {"auc": 0.75, "map": None}, {"team": "ads"})
    assert found.created_at == datetime(2024, 11, 15, 6, tzinfo=UTC)
    assert server.requests[0][0] == "GET /api/v1/models/a%2Fb%3Fc HTTP/1.1"


def test_all_models_are_those_of_all_pages(opened: Opened) -> None:
    """`list` goes from page to page, `page` gives one."""
    acts = [enveloped(page(["v3", "v2"], 2)), enveloped(page(["v1"], None)), enveloped(page(["v2"], None))]
    with wire(acts) as server, opened(server.url) as ask:
        assert [found.version for found in ask("models.list", stage="available")] == ["v3", "v2", "v1"]
        assert ask("models.page", limit=1, offset=1).total == 3
    assert [line.split()[1] for line, _ in server.requests] == [
        "/api/v1/models?limit=100&offset=0&stage=available",
        "/api/v1/models?limit=100&offset=2&stage=available",
        "/api/v1/models?limit=1&offset=1",
    ]


def test_a_model_is_changed(opened: Opened) -> None:
    """What is to be so of it is sent; a stage that is not given is not sent."""
    with wire([enveloped(json.dumps(model("v1")))]) as server, opened(server.url) as ask:
        ask("models.update", "m-1", description="the first", tags={}, stage="production")
        ask("models.update", "m-1", description="", tags={"a": "b"})
        ask("models.retire", "m-1")
    assert [line.split()[0] for line, _ in server.requests] == ["PUT", "PUT", "DELETE"]
    assert [json.loads(body) for body in server.bodies[:2]] == [
        {"description": "the first", "tags": {}, "stage": "production"},
        {"description": "", "tags": {"a": "b"}},
    ]


@pytest.mark.parametrize(
    ("name", "code", "status"),
    [
        ("predict", "model_retired", "410 Gone"),
        ("predict", "model_not_published", "409 Conflict"),
        ("retire", "model_deployed", "409 Conflict"),
        ("get", "model_not_found", "404 Not Found"),
        ("list", "models_hidden", "404 Not Found"),
    ],
)
def test_what_a_server_refuses(opened: Opened, name: str, code: str, status: str) -> None:
    """Its code and sentence, once."""
    arguments: dict[str, tuple[object, ...]] = {"predict": ("m-1", 1, [7]), "list": ()}
    with wire([refusal(code, status)]) as server, opened(server.url) as ask:
        with pytest.raises(Refused) as caught:
            ask(f"models.{name}", *arguments.get(name, ("m-1",)))
    assert (caught.value.code, caught.value.message, caught.value.request_id) == (code, "not so.", "r-9")
    assert len(server.requests) == 1


def test_a_shed_request_is_sent_again(opened: Opened) -> None:
    """503 passes, and ``Retry-After`` is kept to; what a priority may be is checked before."""
    acts = [refusal("models_busy", "503 Busy", "Retry-After: 0\r\n"), enveloped(json.dumps(model("v1")))]
    with wire(acts) as server, opened(server.url) as ask:
        assert ask("models.get", "m-1", priority="critical").version == "v1"
        with pytest.raises(UserError, match="priority has the value 'high', allowed are critical, normal, low"):
            ask("models.get", "m-1", priority="high")
    assert [headers["x-request-priority"] for _, headers in server.requests] == ["critical"] * 2
