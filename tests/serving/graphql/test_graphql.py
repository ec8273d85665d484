"""``/graphql``: its queries and mutations, its errors, and the bounds of a document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from tests.serving.models_at_hand import StandInRegistry, model_app, model_id, publish_model

from orita.core.clock import ManualClock
from orita.core.errors import MissingExtra, UserError
from orita.core.home import Home
from orita.serving.graphql.execution import Executor
from orita.testing.asgi import Answer, AsgiClient

HERE = {"content-type": "application/json", "host": "localhost"}
STRICT = HERE | {"accept": "application/graphql-response+json"}
ITEMS = 'features: {userId: 7, itemIds: [1, 2, 3], context: {device: "mobile"}}'
SIX = "id name version stage type accuracy"
PREDICTIONS = " ".join(f'm{n}: predict(modelId: "x", {ITEMS}) {{latencyMs}}' for n in range(10))
DOUBLING = " ".join(f"fragment f{n} on Query {{...f{n + 1} ...f{n + 1}}}" for n in range(60))


@pytest.fixture
def registry(home: Home) -> StandInRegistry:
    """A registry that promotes."""
    return StandInRegistry(home)


@pytest.fixture
def client(home: Home, clock: ManualClock, registry: StandInRegistry) -> Iterator[AsgiClient]:
    """A client of a server with ``v1.0.0`` published and ``v1.1.0`` deployed."""
    publish_model(home, "v1.0.0", metrics={"auc": 0.7})
    publish_model(home, "v1.1.0", deploy=True)
    with AsgiClient(model_app(home, clock, registry)) as client:
        yield client


def ask(client: AsgiClient, query: str, headers: dict[str, str] = HERE, **more: object) -> Answer:
    """Send a document."""
    return client.post("/graphql", json={"query": query, **more}, headers=headers)


def data(client: AsgiClient, query: str, **more: object) -> Any:
    """Return what a document gives, which has no errors."""
    answer = ask(client, query, HERE, **more)
    assert (answer.status, list(answer.json())) == (200, ["data"]), answer.text
    return answer.json()["data"]


def error(answer: Answer, code: str, *words: str) -> dict[str, Any]:
    """Check the one error of an answer; return it."""
    (found,) = answer.json()["errors"]
    assert found["extensions"]["code"] == code, answer.text
    assert found["extensions"]["request_id"] == answer.headers["x-request-id"]
    for word in words:
        assert word in found["message"]
    assert isinstance(found, dict)
    return found


def test_models_of_the_contract(client: AsgiClient) -> None:
    """A model has the fields of the contract; the newest version comes first, by limit and offset."""
    models = data(client, "{models {id name version accuracy createdAt}}")["models"]
    assert models[0] == {
        "id": model_id("v1.1.0"),
        "name": "feed",
        "version": "v1.1.0",
        "accuracy": 0.8,
        "createdAt": "2024-11-15T06:00:00+00:00",
    }
    assert (models[1]["version"], models[1]["accuracy"]) == ("v1.0.0", None)
    paged = data(client, "query Page($n: Int!) {models(limit: $n, offset: 1) {version}}", variables={"n": 5})
    assert paged["models"] == [{"version": "v1.0.0"}]


def test_one_model(client: AsgiClient) -> None:
    """A model is found by its id; of one that is not there the answer is null and says why."""
    found = data(client, f'{{model(id: "{model_id("v1.0.0")}") {{version stage}}}}')
    assert found["model"] == {"version": "v1.0.0", "stage": "available"}
    answer = ask(client, '{model(id: "nobody") {version}}')
    assert (answer.status, answer.json()["data"]) == (200, {"model": None})
    assert error(answer, "model_not_found", "'nobody'")["path"] == ["model"]


def test_predicting(client: AsgiClient) -> None:
    """A prediction is that of ``POST /predict``, under the caller's request id, and counted."""
    direct = client.post("/predict", json={"user_id": 7, "item_ids": [1, 2, 3], "context": {"device": "mobile"}}).json()
    before = client.get("/metrics").json()["predictions_total"]
    query = f"""mutation {{predict(modelId: "{model_id("v1.1.0")}", {ITEMS})
        {{userId modelVersion requestId predictions {{itemId score rank}}}}}}"""
    answer = ask(client, query, HERE | {"x-request-id": "g-1"})
    found = answer.json()["data"]["predict"]
    ranked = [{"item_id": p["itemId"], "score": p["score"], "rank": p["rank"]} for p in found.pop("predictions")]
    assert ranked == direct["predictions"]
    assert found == {"userId": 7, "modelVersion": "v1.1.0", "requestId": "g-1"}
    assert client.get("/metrics").json()["predictions_total"] == before + 3


@pytest.mark.parametrize(
    ("features", "code", "word"),
    [
        ({"userId": 7, "itemIds": []}, "invalid_value", "itemIds is empty"),
        ({"userId": 7, "itemIds": [1, 1]}, "duplicate_items", "itemIds"),
        ({"userId": -1, "itemIds": [1]}, "invalid_value", "userId"),
        ({"userId": 2**63, "itemIds": [1]}, "invalid_value", "userId"),
        ({"userId": 2**70, "itemIds": [1]}, "invalid_value", "userId"),
        ({"userId": 7, "itemIds": [1], "context": {"device": "toaster"}}, "invalid_value", "context.device"),
        ({"userId": 7.5, "itemIds": [1]}, "invalid_query", "EntityId"),
        ({"userId": 7, "itemIds": [1], "context": {"timestamp": "soon"}}, "invalid_query", "DateTime"),
    ],
)
def test_features_that_are_none(client: AsgiClient, features: object, code: str, word: str) -> None:
    """What ``POST /predict`` refuses is refused with its code, and the field is named as it is spelled here."""
    query = "mutation Ask($id: ID!, $features: Features!) {predict(modelId: $id, features: $features) {modelVersion}}"
    answer = ask(client, query, variables={"id": model_id("v1.1.0"), "features": features})
    assert answer.status == 200
    error(answer, code, word)


def test_deploying(client: AsgiClient, registry: StandInRegistry) -> None:
    """A deployment goes through the registry; another environment, or what it refuses, is told."""
    deploy = (
        f'mutation {{deployModel(modelId: "{model_id("v1.0.0")}", environment: "%s") {{environment model {{stage}}}}}}'
    )
    registry.error = UserError("its package is damaged.")
    error(ask(client, deploy % "production"), "not_deployed", "damaged")
    error(ask(client, deploy % "moon"), "invalid_value", "'moon'", "production")
    registry.error = None
    found = data(client, deploy % "production")["deployModel"]
    assert found == {"environment": "production", "model": {"stage": "production"}}
    assert [version for version, _ in registry.asked] == ["v1.0.0"]


def test_only_this_machine_deploys(client: AsgiClient, registry: StandInRegistry) -> None:
    """A page of another site that was made to point here deploys nothing, and may not even ask as a form does."""
    deploy = f'mutation {{deployModel(modelId: "{model_id("v1.0.0")}", environment: "production") {{environment}}}}'
    assert ask(client, deploy, HERE | {"host": "shop.example"}).status == 403
    error(ask(client, deploy, HERE | {"host": "shop.example"}), "unknown_host")
    error(ask(client, deploy, HERE | {"host": "server-1"}), "forbidden")
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = ask(client, deploy, HERE | {"content-type": content_type})
        assert answer.status == 415
        error(answer, "unsupported_media_type", "application/json")
    assert registry.asked == []


@pytest.mark.parametrize(
    "query",
    [
        "{",
        "{nothing}",
        "{models(limit: true) {id}}",
        "query A {models {id}} query B {models {id}}",
        "subscription {models {id}}",
        "fragment f on Model {id}",
        "{models {...f}} fragment f on Model {...f}",
        "query Q($n: Int!) {models(limit: $n) {id}}",
    ],
)
def test_documents_that_are_none(client: AsgiClient, query: str) -> None:
    """A document that cannot be executed is refused; with 400 for those who know the media type of GraphQL."""
    strict, plain = ask(client, query, STRICT), ask(client, query)
    assert (strict.status, strict.headers["content-type"]) == (400, "application/graphql-response+json")
    assert (plain.status, plain.headers["content-type"]) == (200, "application/json")
    for answer in (strict, plain):
        assert "data" not in answer.json()
        assert {e["extensions"]["code"] for e in answer.json()["errors"]} == {"invalid_query"}


@pytest.mark.parametrize(
    ("query", "word"),
    [
        (f"{{a: models(limit: 100) {{{SIX}}} b: models(limit: 100) {{{SIX}}}}}", "costs 1202"),
        (f"query Q($n: Int) {{a: models(limit: $n) {{{SIX}}} b: models(limit: $n) {{{SIX}}}}}", "costs 1202"),
        (f"mutation {{{PREDICTIONS}}}", "costs 1010"),
        (f"mutation {{...m}} fragment m on Mutation {{{PREDICTIONS}}}", "costs 1010"),
        ("{...on Query" * 16 + "{models {id}}" + "}" * 16, "15 levels"),
        ("{a" * 300 + "}" * 300, "nested too deeply"),
        ("{models {id}}" + " {a}" * 1000, "tokens"),
        (f"{{...f0}} {DOUBLING} fragment f60 on Query {{models {{id}}}}", "15 levels"),
        ("{__schema {types {fields {type {fields {type {fields {name}}}}}}}}", "introspection depth"),
    ],
)
def test_documents_that_are_too_much(client: AsgiClient, query: str, word: str) -> None:
    """Cost, depth and length are bounded before anything is done, however fragments multiply them."""
    answer = ask(client, query)
    assert "data" not in answer.json()
    assert word in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"[]", 422, "invalid_value"),
        (b'{"query": ""}', 422, "invalid_value"),
        (b'{"query": "{models {id}}", "operation": "x"}', 422, "unknown_field"),
        (json.dumps({"query": "{models {id}}" + " " * 20_000}).encode(), 422, "invalid_value"),
        (b'{"query": "{models {id}}", "variables": {"a":' + b"[" * 100_000, 400, "invalid_json"),
        (b'{"query": "' + b"x" * 1_100_000, 413, "body_too_large"),
    ],
)
def test_bodies_that_are_none(client: AsgiClient, content: bytes, status: int, code: str) -> None:
    """What is not a request of GraphQL is refused by HTTP's status, in the form of GraphQL."""
    answer = client.post("/graphql", body=content, headers=HERE)
    assert answer.status == status
    error(answer, code)


def test_other_methods(client: AsgiClient) -> None:
    """GET shows a page; a query is not read from it, so that no link executes anything."""
    page = client.get("/graphql?query={models{id}}")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "v1.1.0" not in page.text
    answer = client.send("PUT", "/graphql", [b"{}"])
    assert (answer.status, answer.headers["allow"]) == (405, "GET, POST")
    error(answer, "method_not_allowed")


def test_where_it_is_off(home: Home, clock: ManualClock) -> None:
    """It answers on loopback addresses, and elsewhere only where that is said; then it changes nothing."""
    publish_model(home, "v1.0.0", deploy=True)
    with AsgiClient(model_app(home, clock, None, host="0.0.0.0")) as client:
        for answer in (ask(client, "{models {id}}"), client.get("/graphql")):
            assert answer.status == 404
            error(answer, "graphql_hidden", "serving.expose_graphql")
    with AsgiClient(model_app(home, clock, None, host="0.0.0.0", expose_graphql=True)) as client:
        assert data(client, "{models {version}}") == {"models": [{"version": "v1.0.0"}]}
        deploy = f'mutation {{deployModel(modelId: "{model_id("v1.0.0")}", environment: "production") {{environment}}}}'
        error(ask(client, deploy), "forbidden", "loopback")


def test_where_its_part_is_missing(home: Home, clock: ManualClock) -> None:
    """By default it is off then and says what to install; asked for, the server does not start."""
    with mock.patch("importlib.util.find_spec", return_value=None):
        app = model_app(home, clock, None)
    with AsgiClient(app) as client:
        error(ask(client, "{models {id}}"), "graphql_hidden", "pip install 'orita[graphql]'")
    with mock.patch.dict("sys.modules", {"strawberry": None}), pytest.raises(MissingExtra, match=r"orita\[graphql\]"):
        model_app(home, clock, None, expose_graphql=True)


def test_what_nobody_foresaw(client: AsgiClient, registry: StandInRegistry) -> None:
    """An error inside is answered without its reason."""
    with mock.patch("orita.serving.graphql.types.created_at", side_effect=RuntimeError("secret of the machine")):
        answer = ask(client, "{models {id}}")
    assert answer.status == 200
    assert "secret" not in answer.text
    error(answer, "internal_error")


def test_the_graph_is_the_contract() -> None:
    """Queries and mutations have the names and arguments that the contract fixes."""
    definition = Executor().definition()
    for line in (
        "model(id: ID!): Model",
        "models(limit: Int! = 20, offset: Int! = 0): [Model!]!",
        "predict(modelId: ID!, features: Features!): Prediction!",
        "deployModel(modelId: ID!, environment: String!): Deployment!",
    ):
        assert line in definition
