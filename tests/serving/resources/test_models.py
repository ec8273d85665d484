"""``/api/v1/models``: its answers, its errors, what it changes and what it refuses to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.serving import models_at_hand
from tests.serving.models_at_hand import StandInRegistry, model_app, model_id, publish_model, write_card
from tests.serving.patience import attempts

from orita.control.model_records import ModelRecords
from orita.core.clock import ManualClock
from orita.core.errors import Unavailable, UserError
from orita.core.home import Home
from orita.events.predictions import prediction_log
from orita.testing.asgi import Answer, AsgiClient
from orita.testing.serving import LinePackage, load_line_package

PREFIX = "/api/v1/models"
HERE = {"host": "localhost:8080"}
REQUEST = {"user_id": 7, "item_ids": [1, 2, 3]}
TOLD = {"description": "the first", "tags": {"team": "ads"}}


@pytest.fixture
def registry(home: Home) -> StandInRegistry:
    """A registry that promotes."""
    return StandInRegistry(home)


@pytest.fixture
def client(home: Home, clock: ManualClock, registry: StandInRegistry) -> Iterator[AsgiClient]:
    """A client of a server with ``v1.9.0`` published and ``v1.10.0`` deployed."""
    publish_model(home, "v1.9.0")
    publish_model(home, "v1.10.0", deploy=True)
    with AsgiClient(model_app(home, clock, registry)) as client:
        yield client


def put(client: AsgiClient, version: str, content: object, headers: dict[str, str] = HERE) -> Answer:
    """Send a PUT request of *content* as JSON."""
    path = f"{PREFIX}/{model_id(version)}"
    return client.send("PUT", path, [json.dumps(content).encode()], headers, whole=True)


def delete(client: AsgiClient, version: str) -> Answer:
    """Send a DELETE request."""
    return client.send("DELETE", f"{PREFIX}/{model_id(version)}", [], HERE)


def refused(answer: Answer, status: int, code: str, *words: str) -> None:
    """Check an error's envelope."""
    body = answer.json()
    assert (answer.status, body["status"], body["code"], body["data"]) == (status, "error", code, None)
    assert body["request_id"] == answer.headers["x-request-id"]
    for word in words:
        assert word in body["message"]


def stages(client: AsgiClient, query: str = "") -> dict[str, str]:
    """Return the stage of each listed version, in the order of the list."""
    return {model["version"]: model["stage"] for model in client.get(PREFIX + query).json()["data"]["models"]}


def test_a_model_in_the_envelope(client: AsgiClient) -> None:
    """One model is answered with all its fields, in the contract's envelope, under the caller's request id."""
    answer = client.get(f"{PREFIX}/{model_id('v1.10.0')}", {"x-request-id": "mine"})
    assert answer.status == 200
    body = answer.json()
    model = body.pop("data")
    assert body == {
        "status": "success",
        "message": "v1.10.0 of feed, production.",
        "timestamp": "2024-11-15T10:30:00Z",
        "request_id": "mine",
    }
    assert model.pop("deployed_at") is not None
    assert model == {
        "id": model_id("v1.10.0"),
        "name": "feed",
        "version": "v1.10.0",
        "type": "line",
        "stage": "production",
        "accuracy": 0.8,
        "metrics": {"accuracy": 0.8, "auc": 0.75},
        "created_at": "2024-11-15T06:00:00Z",
        "retired_at": None,
        "run_id": "run-1",
        "feature_schema_version": "abc",
        "description": "",
        "tags": {},
    }


def test_the_list_in_pages(client: AsgiClient) -> None:
    """Versions come newest first by number, and pages joined are the whole list."""
    assert stages(client) == {"v1.10.0": "production", "v1.9.0": "available"}
    assert list(stages(client)) == ["v1.10.0", "v1.9.0"]
    pages: list[dict[str, Any]] = []
    offset: int | None = 0
    while offset is not None:
        pages.append(client.get(f"{PREFIX}?limit=1&offset={offset}").json()["data"])
        offset = pages[-1]["next_offset"]
    assert [model["version"] for page in pages for model in page["models"]] == ["v1.10.0", "v1.9.0"]
    assert {page["total"] for page in pages} == {2}
    assert client.get(f"{PREFIX}?offset=7").json()["data"]["models"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=101", "limit"), ("limit=a", "limit"), ("offset=-1", "offset"), ("stage=x", "stage")],
)
def test_a_page_that_is_none(client: AsgiClient, query: str, field: str) -> None:
    """A limit, an offset or a stage that is none is refused by name, with what is allowed."""
    refused(client.get(f"{PREFIX}?{query}"), 422, "invalid_value", field, "allowed are")


def test_the_deployed_model_predicts_as_predict_does(client: AsgiClient) -> None:
    """The deployed model, asked by its id, gives the predictions of ``POST /predict``, counted and under one id."""
    direct = client.post("/predict", json=REQUEST).json()
    before = client.get("/metrics").json()["predictions_total"]
    answer = client.post(f"{PREFIX}/{model_id('v1.10.0')}/predict", json=REQUEST, headers={"x-request-id": "p-1"})
    assert answer.status == 200
    data = answer.json()["data"]
    assert data["predictions"] == direct["predictions"]
    assert (data["model_version"], answer.json()["request_id"]) == ("v1.10.0", "p-1")
    assert client.get("/metrics").json()["predictions_total"] == before + 3


def test_another_version_predicts(client: AsgiClient, home: Home) -> None:
    """A version of the package store that is not deployed is loaded and answers under its own name, in the log too."""
    answer = client.post(f"{PREFIX}/{model_id('v1.9.0')}/predict", json=REQUEST, headers={"x-request-id": "old"})
    assert answer.status == 200, answer.text
    assert answer.json()["data"]["model_version"] == "v1.9.0"
    assert [item["rank"] for item in answer.json()["data"]["predictions"]] == [1, 2, 3]
    versions: list[str] = []
    for _ in attempts():
        versions = prediction_log(home, columns=["model_version"])["model_version"].to_pylist()
        if versions:
            break
    assert versions == ["v1.9.0"] * 3


@pytest.mark.parametrize("version", ["v1.10.0", "v1.9.0"])
def test_deadline_and_priority_of_a_prediction(client: AsgiClient, version: str) -> None:
    """A prediction has its turn by the headers of its request: too late is 504, what is no time is refused by name."""
    path = f"{PREFIX}/{model_id(version)}/predict"
    late = client.post(path, json=REQUEST, headers={"grpc-timeout": "1n"})
    refused(late, 504, "deadline_exceeded")
    wrong = client.post(path, json=REQUEST, headers={"x-request-priority": "highest"})
    refused(wrong, 422, "invalid_value", "X-Request-Priority")
    answer = client.post(path, json=REQUEST, headers={"x-request-priority": "low"})
    assert (answer.status, answer.json()["data"]["level"]) == (200, 1)


def test_a_model_that_takes_long_to_load(home: Home, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says no deadline gets its answer, and who says one is told when it is past."""

    def slow(folder: Path) -> LinePackage:
        if folder.name == "v1.9.0":
            clock.advance(timedelta(seconds=5))
        return load_line_package(folder)

    publish_model(home, "v1.9.0")
    publish_model(home, "v1.10.0", deploy=True)
    monkeypatch.setattr(models_at_hand, "load_line_package", slow)
    path = f"{PREFIX}/{model_id('v1.9.0')}/predict"
    with AsgiClient(model_app(home, clock, None)) as opened:
        refused(opened.post(path, json=REQUEST, headers={"x-request-timeout-ms": "4000"}), 504, "deadline_exceeded")
    with AsgiClient(model_app(home, clock, None)) as opened:
        assert opened.post(path, json=REQUEST).status == 200


def test_what_predict_refuses(client: AsgiClient) -> None:
    """What ``POST /predict`` refuses is refused here alike, and a model that is not there by its id."""
    path = f"{PREFIX}/{model_id('v1.10.0')}/predict"
    refused(client.post(path, json=REQUEST | {"item_ids": []}), 422, "invalid_value", "item_ids")
    refused(client.post(path, body=b"{"), 400, "invalid_json")
    refused(client.post(path, body=[b"x" * 600_000] * 2), 413, "body_too_large")
    refused(client.post(f"{PREFIX}/nobody/predict", json=REQUEST), 404, "model_not_found", "'nobody'")


def test_descriptions_and_tags_are_replaced(client: AsgiClient, home: Home) -> None:
    """PUT says what a model is; it is there afterwards, for another process too, and its stage stays."""
    data = put(client, "v1.9.0", TOLD).json()["data"]
    assert (data["description"], data["tags"], data["stage"]) == ("the first", {"team": "ads"}, "available")
    assert put(client, "v1.9.0", {"description": "now", "tags": {}}).json()["data"]["tags"] == {}
    assert client.get(f"{PREFIX}/{model_id('v1.9.0')}").json()["data"]["description"] == "now"
    assert ModelRecords(home.control_db).of("feed")["v1.9.0"].description == "now"


@pytest.mark.parametrize(
    ("content", "code", "word"),
    [
        ({"description": "x"}, "missing_field", "tags"),
        (TOLD | {"accuracy": 1.0}, "unknown_field", "accuracy"),
        (TOLD | {"stage": "staging"}, "invalid_value", "'available' or 'production' or 'retired'"),
        (TOLD | {"tags": {f"t{n}": "" for n in range(51)}}, "invalid_value", "allowed are 50"),
        (TOLD | {"description": "x" * 2001}, "invalid_value", "description"),
    ],
)
def test_an_update_that_is_none(client: AsgiClient, content: object, code: str, word: str) -> None:
    """What cannot be changed, or is too much, is refused by name and nothing changes."""
    refused(put(client, "v1.9.0", content), 422, code, word)
    assert client.get(f"{PREFIX}/{model_id('v1.9.0')}").json()["data"]["description"] == ""


def test_a_retired_model(client: AsgiClient, home: Home) -> None:
    """DELETE takes a model out of use, twice as once; its package stays, and PUT takes it back."""
    assert delete(client, "v1.9.0").json()["data"]["stage"] == "retired"
    assert delete(client, "v1.9.0").status == 200
    assert stages(client) == {"v1.10.0": "production"}
    assert stages(client, "?stage=retired") == {"v1.9.0": "retired"}
    refused(client.post(f"{PREFIX}/{model_id('v1.9.0')}/predict", json=REQUEST), 410, "model_retired", "available")
    assert (home.packages / "feed" / "v1.9.0").is_dir()
    back = put(client, "v1.9.0", TOLD | {"stage": "available"}).json()["data"]
    assert (back["stage"], back["retired_at"]) == ("available", None)


def test_what_is_deployed_is_not_retired(client: AsgiClient) -> None:
    """The deployed model can neither be deleted nor put aside."""
    refused(delete(client, "v1.10.0"), 409, "model_deployed", "another one first")
    for stage in ("retired", "available"):
        refused(put(client, "v1.10.0", TOLD | {"stage": stage}), 409, "model_deployed")
    assert client.get(f"{PREFIX}/{model_id('v1.10.0')}").json()["data"]["description"] == ""


def test_deploying_goes_through_the_registry(client: AsgiClient, registry: StandInRegistry) -> None:
    """The stage ``production`` asks the registry once, also of a retired model, and the server takes it up."""
    delete(client, "v1.9.0")
    answer = put(client, "v1.9.0", TOLD | {"stage": "production"}, HERE | {"x-request-id": "d-1"})
    assert answer.json()["data"]["stage"] == "production"
    put(client, "v1.9.0", TOLD | {"stage": "production"})
    assert registry.asked == [("v1.9.0", "asked over HTTP, request d-1")]
    assert stages(client) == {"v1.10.0": "available", "v1.9.0": "production"}
    for _ in attempts():
        if client.post("/predict", json=REQUEST).json()["model_version"] == "v1.9.0":
            return
    raise AssertionError("the server did not take the deployment up")


def test_a_deployment_that_the_registry_refuses(client: AsgiClient, registry: StandInRegistry) -> None:
    """Its sentence is answered, or 503 where it is away; nothing of the update is done then."""
    registry.error = UserError("the package of v1.9.0 is damaged.")
    refused(put(client, "v1.9.0", TOLD | {"stage": "production"}), 409, "not_deployed", "damaged")
    registry.error = Unavailable("no route to the host db-7")
    answer = put(client, "v1.9.0", TOLD | {"stage": "production"})
    refused(answer, 503, "models_unavailable")
    assert "db-7" not in answer.text
    assert answer.headers["retry-after"] == "1"
    assert client.get(f"{PREFIX}/{model_id('v1.9.0')}").json()["data"]["description"] == ""


def test_a_server_without_a_registry(home: Home, clock: ManualClock) -> None:
    """It says where to deploy, as it must leave a record that the registry follows."""
    publish_model(home, "v1.0.0")
    with AsgiClient(model_app(home, clock, None)) as client:
        refused(
            put(client, "v1.0.0", TOLD | {"stage": "production"}), 409, "no_registry", "orita models promote v1.0.0"
        )


def test_a_candidate(client: AsgiClient, registry: StandInRegistry, tmp_path: Path) -> None:
    """What is registered and was never promoted is listed, predicts nothing, and becomes more by being deployed."""
    write_card(tmp_path / "package", "v1.11.0")
    registry.registered = {"v1.11.0": tmp_path / "package", "v1.12.0": tmp_path / "deleted"}
    assert stages(client) == {"v1.11.0": "candidate", "v1.10.0": "production", "v1.9.0": "available"}
    path = f"{PREFIX}/{model_id('v1.11.0')}/predict"
    refused(client.post(path, json=REQUEST), 409, "model_not_published", "deploy it")
    refused(put(client, "v1.11.0", TOLD | {"stage": "available"}), 409, "model_not_published")
    assert put(client, "v1.11.0", TOLD | {"stage": "production"}).json()["data"]["stage"] == "production"


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.7"])
def test_only_this_machine_changes_models(home: Home, clock: ManualClock, host: str) -> None:
    """On another address models are off by default, and where they are on they are read only."""
    publish_model(home, "v1.0.0", deploy=True)
    with AsgiClient(model_app(home, clock, StandInRegistry(home), host=host)) as client:
        refused(client.get(PREFIX), 404, "models_hidden", "serving.expose_models")
    with AsgiClient(model_app(home, clock, StandInRegistry(home), host=host, expose_models=True)) as client:
        assert client.get(PREFIX).status == 200
        assert client.post(f"{PREFIX}/{model_id('v1.0.0')}/predict", json=REQUEST).status == 200
        refused(put(client, "v1.0.0", TOLD), 403, "forbidden", "loopback")
        refused(delete(client, "v1.0.0"), 403, "forbidden")


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("shop.example", "unknown_host"),
        ("shop.example:8080", "unknown_host"),
        ("10.0.0.7:8080", "unknown_host"),
        ("", "forbidden"),
        ("server-1:8080", "forbidden"),
        ("[fe80::1]:80", "forbidden"),
    ],
)
def test_a_name_that_was_made_to_point_here(client: AsgiClient, host: str, code: str) -> None:
    """A request whose Host is not this machine's own changes nothing: a web page may have sent it."""
    refused(put(client, "v1.9.0", TOLD, {"host": host}), 403, code)


@pytest.mark.parametrize("name", ["x-forwarded-for", "forwarded", "x-real-ip", "via"])
def test_what_was_passed_on_changes_nothing(client: AsgiClient, name: str) -> None:
    """A request that somebody passed on may come from anywhere, whatever it says of that."""
    refused(put(client, "v1.9.0", TOLD, HERE | {name: "127.0.0.1"}), 403, "forbidden", "proxy")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "[::1]:8080", "::1"])
def test_names_of_this_machine(client: AsgiClient, host: str) -> None:
    """Any name or address of this machine's own will do."""
    assert put(client, "v1.9.0", TOLD, {"host": host}).status == 200


def test_other_paths_and_methods(client: AsgiClient) -> None:
    """They are refused in the envelope, with the methods that are allowed."""
    refused(client.get(f"{PREFIX}/a/b/c"), 404, "not_found")
    answer = client.send("PATCH", f"{PREFIX}/{model_id('v1.9.0')}", [])
    refused(answer, 405, "method_not_allowed", "DELETE, GET, HEAD, PUT")
    assert answer.headers["allow"] == "DELETE, GET, HEAD, PUT"
    refused(client.get(PREFIX, {"x-request-id": "no good"}), 422, "invalid_request_id")


def test_a_card_that_cannot_be_read(client: AsgiClient, home: Home) -> None:
    """One broken card hides one model; when it is mended the model is there."""
    folder = home.packages / "feed" / "v1.9.0"
    (folder / "model_metadata.json").write_text("{", encoding="utf-8")
    assert stages(client) == {"v1.10.0": "production"}
    write_card(folder, "v1.9.0", training_date="2024-11-15T08:00:00")
    assert stages(client) == {"v1.10.0": "production", "v1.9.0": "available"}


def test_a_home_without_models(home: Home, clock: ManualClock) -> None:
    """An empty home has no models, and asking makes no file."""
    with AsgiClient(model_app(home, clock, None)) as client:
        assert client.get(PREFIX).json()["data"]["models"] == []
        refused(client.get(f"{PREFIX}/x"), 404, "model_not_found")
    assert not home.control_db.exists()
