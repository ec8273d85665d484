from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.events.predictions import prediction_log
from orita.serving.http.refusal import Refused
from orita.serving.resilience.admitted import in_time
from orita.serving.telemetry.metrics import ServingMetrics
from orita.testing.asgi import AsgiClient
from orita.testing.serving import HashedFeatures, load_line_package

ASKED = {
    "user_id": 123,
    "item_ids": [1001, 1002, 1003],
    "context": {"device": "mobile", "timestamp": "2024-11-15T10:30:00Z"},
}


def logged(client: AsgiClient, home: Home) -> list[dict[str, object]]:
    """Return the rows of the prediction log once they are durable."""
    assert client.app.state.service.log.flush()  # type: ignore[attr-defined]
    rows: list[dict[str, object]] = prediction_log(home).to_pylist()
    return rows


def test_predict_answers_as_the_contract_says(client: AsgiClient) -> None:
    """The answer has the contract's fields, every item once, best first, ranks from 1."""
    answer = client.post("/predict", json=ASKED)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) == ["user_id", "predictions", "model_version", "latency_ms", "level"]
    assert (body["user_id"], body["model_version"], body["level"]) == (123, "v1.0.0", 1)
    assert {row["item_id"] for row in body["predictions"]} == {1001, 1002, 1003}
    assert [row["rank"] for row in body["predictions"]] == [1, 2, 3]
    scores = [row["score"] for row in body["predictions"]]
    assert scores == sorted(scores, reverse=True)
    assert body["latency_ms"] >= 0


def test_scores_are_the_model_s(client: AsgiClient, home: Home) -> None:
    """Each score is exactly what the package gives to the features of that item."""
    body = client.post("/predict", json=ASKED).json()
    package = load_line_package(home.packages / "feed" / "v1.0.0")
    reader = HashedFeatures(package.schema.names).reader(package.schema)
    items = ASKED["item_ids"]
    assert isinstance(items, list)
    expected = package.score_user(123, items, reader.matrix(123, items, {}, 2 * 10**15))
    assert {row["item_id"]: np.float32(row["score"]) for row in body["predictions"]} == dict(
        zip(items, expected, strict=True)
    )


def test_ties_keep_the_order_of_the_request(client: AsgiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Items of equal score stand in the order they were asked for."""
    package_type = type(client.app.state.service.follower.champion.package)  # type: ignore[attr-defined]
    monkeypatch.setattr(package_type, "score_user", lambda self, u, i, x_NF: np.full(len(x_NF), 0.5, np.float32))
    body = client.post("/predict", json={"user_id": 1, "item_ids": [9, 3, "z", 7]}).json()
    assert [row["item_id"] for row in body["predictions"]] == [9, 3, "z", 7]


def test_ids_may_be_text(client: AsgiClient) -> None:
    """Ids come back as they were sent: integers as integers, text as text."""
    body = client.post("/predict", json={"user_id": "ann", "item_ids": ["x", 5, "été"]}).json()
    assert body["user_id"] == "ann"
    assert {row["item_id"] for row in body["predictions"]} == {"x", 5, "été"}


def test_every_item_is_logged(client: AsgiClient, home: Home, clock: ManualClock) -> None:
    """The log has a row an item with the answer's score and rank, the features used, and the request's id."""
    answer = client.post("/predict", json={**ASKED, "item_ids": [0, 7]}, headers={"x-request-id": "req-1"})
    rows = logged(client, home)
    given = {str(row["item_id"]): row for row in answer.json()["predictions"]}
    assert [row["item_id"] for row in rows] == ["0", "7"]
    for row in rows:
        answered = given[str(row["item_id"])]
        assert (row["score"], row["rank"], row["position"]) == (
            answered["score"],
            answered["rank"],
            answered["rank"],
        )
        assert row["request_id"] == "req-1"
        assert row["model_version"] == "v1.0.0"
        assert row["timestamp"] == clock.now()
        assert row["latency_ms"] == answer.json()["latency_ms"]
        assert isinstance(row["features"], dict)
        assert list(row["features"]) == ["item_ctr", "item_popularity"]
    assert isinstance(rows[0]["features"], dict)
    assert rows[0]["features"]["item_ctr"] is None


def test_as_of_is_the_time_of_the_context(client: AsgiClient, home: Home, clock: ManualClock) -> None:
    """The log tells both the time of the answer and the time that the features were read for."""
    client.post("/predict", json={**ASKED, "context": {"timestamp": "2024-11-01T02:00:00+02:00"}})
    client.post("/predict", json={**ASKED, "context": {}})
    rows = logged(client, home)
    assert {row["as_of"] for row in rows} == {clock.now().replace(day=1, hour=0, minute=0), clock.now()}
    assert {row["timestamp"] for row in rows} == {clock.now()}


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        (b"", 400, "invalid_json", "not valid JSON"),
        (b"{", 400, "invalid_json", "not valid JSON"),
        (b'{"user_id": 1, "item_ids": [2, NaN]}', 400, "invalid_json", "item_ids[1] has the value NaN"),
        (
            b'{"objective": {"click": -Infinity, "x": NaN}}',
            400,
            "invalid_json",
            "objective.click has the value -Infinity",
        ),
        (b"Infinity", 400, "invalid_json", "the body has the value Infinity"),
        (b'{"user_id": 1, "item_ids": [2, 1e999]}', 400, "invalid_json", "item_ids[1] has the value 1e999"),
        (b'{"user_id": NaN, "item_ids": [1', 400, "invalid_json", "not valid JSON"),
        (b'{"user_id": "NaN", "item_ids": [1', 400, "invalid_json", "not valid JSON"),
        (b'{"user_id": "\\ud800", "item_ids": [1]}', 400, "invalid_json", "not valid JSON"),
        (b'{"user_id": "\xff", "item_ids": [1]}', 400, "invalid_json", "not valid JSON"),
        (b'{"user_id": 1.5, "item_ids": [1', 400, "invalid_json", "not valid JSON"),
        (b"[" * 100_000, 422, "invalid_value", "expected object"),
        (b'{"user_id":1,"item_ids":' + b"[" * 100_000, 422, "invalid_value", "item_ids[0]"),
        (b"[]", 422, "invalid_value", "the request has the value [], expected object"),
        (b'{"item_ids": [1]}', 422, "missing_field", "user_id is missing"),
        (b'{"user_id": 1}', 422, "missing_field", "item_ids is missing"),
        (
            b'{"user_id": 1.5, "item_ids": [1]}',
            422,
            "invalid_value",
            "user_id has the value 1.5, expected int | str",
        ),
        (b'{"user_id": true, "item_ids": [1]}', 422, "invalid_value", "user_id has the value true"),
        (
            b'{"user_id": -1, "item_ids": [1]}',
            422,
            "invalid_value",
            "user_id has the value -1, expected int >= 0",
        ),
        (b'{"user_id": 9223372036854775808, "item_ids": [1]}', 422, "invalid_value", "user_id has the value"),
        (b'{"user_id": "", "item_ids": [1]}', 422, "invalid_value", 'user_id has the value ""'),
        (b'{"user_id": 1, "item_ids": []}', 422, "invalid_value", "item_ids is empty"),
        (b'{"user_id": 1, "item_ids": [1, null]}', 422, "invalid_value", "item_ids[1] has the value null"),
        (b'{"user_id": 1, "item_ids": [1, 2, 1]}', 422, "duplicate_items", "the item 1 more than once"),
        (b'{"user_id": 1, "item_ids": [1, "1"]}', 422, "duplicate_items", "the item '1' more than once"),
        (b'{"user_id": 1, "item_id": [1]}', 422, "unknown_field", "'item_id'. Did you mean 'item_ids'?"),
        (
            b'{"user_id": 1, "item_ids": [1], "context": {"devise": "mobile"}}',
            422,
            "unknown_field",
            "context has the unknown field 'devise'. Did you mean 'device'?",
        ),
        (
            b'{"user_id": 1, "item_ids": [1], "context": {"device": "watch"}}',
            422,
            "invalid_value",
            "context.device has the value 'watch', allowed are mobile, desktop, tablet.",
        ),
        (
            b'{"user_id": 1, "item_ids": [1], "context": {"timestamp": "2024-11-15T10:30:00"}}',
            422,
            "invalid_value",
            'context.timestamp has the value "2024-11-15T10:30:00", expected an ISO 8601 time with an offset',
        ),
        (
            b'{"user_id": 1, "item_ids": [1], "context": {"timestamp": "1969-12-31T23:59:59Z"}}',
            422,
            "invalid_value",
            "allowed are times from 1970 on",
        ),
        (
            b'{"user_id": 1, "item_ids": [1], "context": {"timestamp": "1999-01-01T00:00:00Z"}}',
            422,
            "invalid_value",
            "is before what the features know",
        ),
    ],
)
def test_refusals(client: AsgiClient, home: Home, body: bytes, status: int, code: str, words: str) -> None:
    """What cannot be answered is refused with a status, a stable code and a sentence that names the field."""
    answer = client.post("/predict", body=body, headers={"x-request-id": "mine"})
    assert answer.status == status
    error = answer.json()
    assert list(error) == ["status", "code", "message", "request_id"]
    assert (error["status"], error["code"], error["request_id"]) == ("error", code, "mine")
    assert words in error["message"]
    assert answer.headers["x-request-id"] == "mine"
    assert logged(client, home) == []


def test_limits(make_app: Callable[..., Starlette], deploy: Callable[..., None]) -> None:
    """More items or bytes than configured are refused; exactly as many are answered."""
    deploy("v1.0.0")
    with AsgiClient(make_app(max_items=3, max_body_bytes=1024)) as client:
        assert client.post("/predict", json={"user_id": 1, "item_ids": [1, 2, 3]}).status == 200
        many = client.post("/predict", json={"user_id": 1, "item_ids": [1, 2, 3, 4]})
        assert (many.status, many.json()["code"]) == (422, "too_many_items")
        assert "item_ids has 4 items, allowed are 3" in many.json()["message"]
        body = json.dumps({"user_id": 1, "item_ids": [1]}).encode()
        assert client.post("/predict", body=body.ljust(1024)).status == 200
        long = client.post("/predict", body=body.ljust(1025))
        assert (long.status, long.json()["code"]) == (413, "body_too_large")
        chunked = client.post("/predict", body=(body.ljust(600) for _ in range(2)))
        assert chunked.status == 413


def test_request_ids(client: AsgiClient) -> None:
    """A given request id comes back; without one a UUIDv7 is made; one that could harm a log is refused."""
    given = client.post("/predict", json=ASKED, headers={"X-Request-Id": "a-1:b/c"})
    assert given.headers["x-request-id"] == "a-1:b/c"
    made = client.post("/predict", json=ASKED)
    assert uuid.UUID(made.headers["x-request-id"]).version == 7
    for bad in ("", "a b", "x" * 129, "é"):
        answer = client.post("/predict", json=ASKED, headers={"X-Request-Id": bad})
        assert (answer.status, answer.json()["code"]) == (422, "invalid_request_id")
        assert "X-Request-Id" in answer.json()["message"]
        assert uuid.UUID(answer.json()["request_id"]).version == 7


def test_unknown_places_and_methods(client: AsgiClient) -> None:
    """Paths and methods that do not exist are refused in the documented form."""
    missing = client.get("/nowhere")
    assert (missing.status, missing.json()["code"]) == (404, "not_found")
    wrong = client.get("/predict")
    assert (wrong.status, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"
    assert wrong.headers["x-request-id"] == wrong.json()["request_id"]
    several = client.send("DELETE", "/health", [b""])
    assert (several.status, several.headers["allow"]) == (405, "GET, HEAD")
    unnamed = client.send("DELETE", "/health", [b""], {"X-Request-Id": "a b"})
    assert uuid.UUID(unnamed.json()["request_id"]).version == 7


def test_head_and_slashes(client: AsgiClient) -> None:
    """HEAD is answered where GET is; a path with a slash too many is another one, and under /api/v1 in the envelope."""
    for path in ("/health", "/health/live", "/health/ready", "/metrics", "/config", "/openapi.json", "/docs"):
        head, whole = client.send("HEAD", path, [b""]), client.get(path)
        assert head.status == whole.status == 200
        assert head.headers["content-type"] == whole.headers["content-type"]
        assert "x-request-id" in head.headers
    beside = client.get("/health/")
    assert (beside.status, beside.json()["code"]) == (404, "not_found")
    assert beside.json()["message"] == "GET /health/: there is no such path; /docs lists them."


def test_what_no_route_takes(client: AsgiClient) -> None:
    """It says what is allowed; under /api/v1 in the envelope, elsewhere as every error there."""
    missing, wrong = client.get("/api/v1/nothing"), client.send("PUT", "/api/v1/jobs", [b""])
    for answer, status, code in ((missing, 404, "not_found"), (wrong, 405, "method_not_allowed")):
        assert (answer.status, answer.json()["code"], answer.json()["data"]) == (status, code, None)
        assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert wrong.headers["allow"] == "POST"
    assert wrong.json()["message"] == "PUT /api/v1/jobs: the method is not allowed, use POST."
    plain = client.send("DELETE", "/predict", [b""])
    assert (plain.status, plain.json()["code"], "data" in plain.json()) == (405, "method_not_allowed", False)


def test_without_a_model(make_app: Callable[..., Starlette]) -> None:
    """Before the first deployment the server says so, everywhere, and when to try again."""
    with AsgiClient(make_app(expose_config=True)) as client:
        answer = client.post("/predict", json=ASKED)
        assert (answer.status, answer.json()["code"]) == (503, "no_model")
        assert answer.headers["retry-after"] == "1"
        health = client.get("/health")
        assert (health.status, health.json()["status"]) == (503, "no_model")
        assert client.get("/config").status == 503
        assert client.get("/metrics").json()["error_rate"] == 1.0


def test_a_model_that_fails(
    make_app: Callable[..., Starlette], deploy: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a model does, the caller gets an answer that says how good it is, and no detail of the server."""
    deploy("v1.0.0", fault="nan")
    with AsgiClient(make_app(resilience={"static_items": [1003]})) as client:
        answer = client.post("/predict", json=ASKED)
        assert (answer.status, answer.json()["level"], answer.json()["reason"]) == (200, 4, "failed")
        assert [row["item_id"] for row in answer.json()["predictions"]] == [1003, 1001, 1002]
        health = client.get("/health").json()
        assert (health["status"], health["level"]) == ("degraded", 4)
        package_type = type(client.app.state.service.follower.champion.package)  # type: ignore[attr-defined]
        monkeypatch.setattr(package_type, "score_user", lambda *_: 1 / 0)
        answer = client.post("/predict", json=ASKED)
        assert (answer.status, answer.json()["level"]) == (200, 4)
        assert "division" not in answer.text


def test_what_nobody_expected(client: AsgiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where even the levels fail, the caller gets the documented error, and no detail of the server."""
    monkeypatch.setattr(type(client.app.state.service.predictor), "finished", lambda *_: 1 / 0)  # type: ignore[attr-defined]
    answer = client.post("/predict", json=ASKED)
    assert (answer.status, answer.json()["code"]) == (500, "internal_error")
    assert "division" not in answer.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_probes(
    make_app: Callable[..., Starlette], deploy: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server is alive while its parts work; it wants requests while it has a model, a log and no end in sight."""
    app = make_app(reload_seconds=0.01)
    service = app.state.service

    def probed(path: str) -> tuple[int, str]:
        answer = client.get(path)
        return answer.status, answer.json()["status"]

    with AsgiClient(app) as client:
        assert (probed("/health/live"), probed("/health/ready")) == ((200, "ok"), (503, "no_model"))
        deploy("v1.0.0")
        while probed("/health/ready") == (503, "no_model"):
            time.sleep(0.01)
        assert probed("/health/ready") == (200, "ok")
        service.stopping.set()
        assert (probed("/health/live"), probed("/health/ready")) == ((200, "ok"), (503, "stopping"))
        service.stopping.clear()
        monkeypatch.setattr(service.follower, "look", _end_of_the_thread)
        while probed("/health/live") == (200, "ok"):
            time.sleep(0.01)
        assert probed("/health/live") == (503, "stopped_working")
        assert "start this process again" in client.get("/health/live").json()["detail"]
        assert probed("/health/ready") == (200, "ok")


def _end_of_the_thread() -> None:
    raise SystemExit


def test_health(client: AsgiClient, clock: ManualClock) -> None:
    """Health tells the version, since when it answers, for how long the server runs, and the last answer."""
    before = client.get("/health").json()
    assert before == {
        "status": "ok",
        "model_version": "v1.0.0",
        "model_loaded_at": "2024-11-15T10:30:00Z",
        "uptime_seconds": 0.0,
        "last_prediction": None,
        "detail": None,
        "level": None,
        "dependencies": {"store": "CLOSED", "model": "CLOSED", "broker": "CLOSED", "jobs": "CLOSED"},
    }
    clock.advance(timedelta(seconds=90))
    client.post("/predict", json=ASKED)
    after = client.get("/health").json()
    assert after["uptime_seconds"] == 90.0
    assert after["last_prediction"] == "2024-11-15T10:31:30Z"
    assert (after["status"], after["level"]) == ("ok", 1)


def test_metrics_as_json(client: AsgiClient) -> None:
    """Metrics count requests, scored items and failures, as the contract names them."""
    client.post("/predict", json=ASKED)
    client.post("/predict", json=ASKED)
    client.post("/predict", body=b"{")
    metrics = client.get("/metrics").json()
    assert list(metrics) == [
        "requests_total",
        "requests_per_second",
        "latency_p50_ms",
        "latency_p99_ms",
        "error_rate",
        "predictions_total",
    ]
    assert (metrics["requests_total"], metrics["predictions_total"], metrics["error_rate"]) == (3, 6, 0.0)
    assert metrics["requests_per_second"] == 3.0
    assert metrics["latency_p50_ms"] == 0.0


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/plain", "text/plain"),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text",
        ),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/html,*/*;q=0.8", "application/json"),
    ],
)
def test_metrics_by_accept(client: AsgiClient, accept: str, kind: str) -> None:
    """Prometheus gets its own format, everybody else JSON."""
    answer = client.get("/metrics", headers={"accept": accept})
    assert answer.status == 200
    assert answer.headers["content-type"].startswith(kind)


def test_metrics_as_prometheus_reads_them(client: AsgiClient) -> None:
    """The exposition parses and has the contract's metrics, histogram included."""
    client.post("/predict", json=ASKED)
    client.post("/predict", body=b"{")
    text = client.get("/metrics", headers={"accept": "text/plain"}).text
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["predictions_total",] == 3
    assert samples["prediction_errors_total",] == 0
    assert samples["requests_total", ("status", "200")] == 1
    assert samples["requests_total", ("status", "400")] == 1
    assert samples["prediction_latency_bucket", ("le", "+Inf")] == 1
    assert samples["prediction_latency_count",] == 1
    assert samples["model_accuracy",] == 0.8
    assert samples["model_info", ("system", "feed"), ("type", "line"), ("version", "v1.0.0")] == 1


def test_config(client: AsgiClient, make_app: Callable[..., Starlette]) -> None:
    """The config tells model and features where it is asked for, and hides where it is not."""
    config = client.get("/config").json()
    assert config["model_config"] == {"type": "line", "version": "v1.0.0", "embedding_dim": 0}
    assert config["feature_config"]["features"] == ["item_ctr", "item_popularity"]
    with AsgiClient(make_app()) as private:
        hidden = private.get("/config")
        assert (hidden.status, hidden.json()["code"]) == (404, "config_hidden")
        assert "serving.expose_config" in hidden.json()["message"]
        assert "/config" not in private.get("/openapi.json").json()["paths"]


def test_a_deadline_of_the_caller_is_no_failure_of_the_server(client: AsgiClient) -> None:
    """A deadline that a caller set and that passes is answered 504 and counted so, and is no error of the server; one
    that the server sets is."""
    for _ in range(2):
        client.post("/predict", json=ASKED, headers={"grpc-timeout": "1n"})
    assert client.post("/predict", json=ASKED, headers={"grpc-timeout": "1n"}).status == 504
    told = client.get("/metrics", {"accept": "text/plain"}).text
    assert 'requests_total{status="504"} 3.0' in told
    assert "prediction_errors_total 0.0" in told
    assert client.get("/metrics").json()["error_rate"] == 0
    late = Refused(504, "deadline_exceeded", "")
    said = [(b"x-request-timeout-ms", b"5")]
    assert (in_time(late, ()), in_time(late, said), in_time(Refused(500, "x", ""), said)) == (True, False, True)
    client.app.state.service.metrics.refused(504)  # type: ignore[attr-defined]
    assert "prediction_errors_total 1.0" in client.get("/metrics", {"accept": "text/plain"}).text


def test_openapi_is_exact(client: AsgiClient) -> None:
    """The document names every endpoint, status and field, and each reference in it resolves."""
    document = client.get("/openapi.json").json()
    assert {path for path in document["paths"] if not path.startswith(("/v2", "/api/", "/graphql", "/ofrep"))} == {
        "/predict", "/predict/batch", "/health", "/health/live", "/health/ready", "/metrics", "/status", "/config",
    }  # fmt: skip
    predict = document["paths"]["/predict"]["post"]
    assert set(predict["responses"]) == {
        "200",
        "400",
        "401",
        "403",
        "408",
        "413",
        "415",
        "422",
        "431",
        "500",
        "503",
        "504",
    }
    schemas = document["components"]["schemas"]
    request = schemas["PredictRequest"]
    assert request["required"] == ["user_id", "item_ids"]
    assert request["additionalProperties"] is False
    assert request["properties"]["item_ids"]["maxItems"] == 1000
    answer = client.post("/predict", json=ASKED).json()
    assert list(schemas["PredictAnswer"]["properties"]) == [*answer, "reason", "cached", "outliers"]
    for reference in set(_references(document)):
        assert reference.removeprefix("#/components/schemas/") in schemas


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        here = [node["$ref"]] if "$ref" in node else []
        return here + [ref for child in node.values() for ref in _references(child)]
    return [ref for child in node for ref in _references(child)] if isinstance(node, list) else []


def test_a_full_log_sheds(make_app: Callable[..., Starlette], deploy: Callable[..., None], home: Home) -> None:
    """When the log cannot take more, requests get 503 rather than an answer nobody logged; it recovers."""
    deploy("v1.0.0")
    asked = {"user_id": 1, "item_ids": list(range(1000))}
    with AsgiClient(make_app(log={"flush_ms": 100, "max_pending_rows": 4096})) as client:
        answers = [client.post("/predict", json=asked) for _ in range(60)]
        shed = [answer for answer in answers if answer.status == 503]
        assert shed
        assert {answer.json()["code"] for answer in shed} == {"log_full"}
        assert shed[0].headers["retry-after"] == "1"
        assert client.app.state.service.log.flush()  # type: ignore[attr-defined]
        assert client.post("/predict", json=asked).status == 200
    answered = [answer for answer in answers if answer.status == 200]
    assert prediction_log(home, columns=["item_id"]).num_rows == 1000 * (len(answered) + 1)


def test_the_rate_is_of_the_last_minute(clock: ManualClock) -> None:
    """Requests older than 60 seconds count in the totals only."""
    metrics = ServingMetrics(clock)
    for _ in range(30):
        metrics.refused(503)
    clock.advance(timedelta(seconds=59))
    metrics.answered(10, 4.0)
    assert metrics.answer().requests_per_second == round(31 / 59, 3)
    assert metrics.answer().error_rate == pytest.approx(30 / 31)
    clock.advance(timedelta(seconds=2))
    assert metrics.answer().requests_per_second == round(1 / 60, 3)
    assert metrics.answer().error_rate == 0.0
    assert metrics.answer().requests_total == 31


def test_percentiles_are_of_recent_answers(clock: ManualClock) -> None:
    """Percentiles come from a bounded number of answers: the last ones."""
    metrics = ServingMetrics(clock)
    assert metrics.answer().latency_p99_ms is None
    for _ in range(10_000):
        metrics.answered(1, 100.0)
    for latency in range(8192):
        metrics.answered(1, latency % 100)
    assert metrics.answer().latency_p50_ms == pytest.approx(49.5, abs=1)
    assert metrics.answer().latency_p99_ms == pytest.approx(98.5, abs=1)
