"""``/api/v1/jobs`` in a server: what is taken in is answered as ``/predict`` would, and what cannot be is refused."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from starlette.applications import Starlette

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.events.predictions import prediction_log
from orita.serving.config import ServingConfig
from orita.serving.http.refusal import Refused
from orita.serving.jobs.openapi import describe_jobs
from orita.serving.jobs.requests import PREFIX, JobRequests
from orita.serving.predict.requests import RequestDecoder
from orita.testing.asgi import Answer, AsgiClient

ONE = {"user_id": 5, "item_ids": [1, 2, 3], "context": {"device": "mobile"}}
TWO = {"user_id": "b", "item_ids": ["x", "y"]}


@pytest.fixture
def jobs_client(make_app: Callable[..., Starlette], deploy: Callable[..., None]) -> Any:
    """A client of a running app that looks for jobs often."""
    deploy("v1.0.0")
    with AsgiClient(make_app(jobs=quick(max_requests=3))) as client:
        yield client


def quick(**settings: object) -> dict[str, object]:
    """Return settings of jobs for a test."""
    return {"poll_seconds": 0.01, **settings}


def submitted(client: AsgiClient, body: object, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Send a job; return the data of its answer."""
    answer = client.post(PREFIX, json=body, headers=headers)
    assert answer.status == 202, answer.text
    data: dict[str, Any] = answer.json()["data"]
    assert answer.headers["location"] == data["url"] == f"{PREFIX}/{data['job']}"
    return data


def ended(client: AsgiClient, job: str) -> dict[str, Any]:
    """Ask for a job until it has ended; return its data."""
    until = time.monotonic() + 20
    while True:
        answer = client.get(f"{PREFIX}/{job}")
        assert answer.status == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        if data["state"] not in ("queued", "running"):
            return data
        assert time.monotonic() < until, data
        threading.Event().wait(0.005)


def refused(answer: Answer, status: int, code: str, *words: str) -> None:
    """Check that an answer is an error in the envelope."""
    envelope = answer.json()
    assert (answer.status, envelope["status"], envelope["code"], envelope["data"]) == (status, "error", code, None)
    for word in words:
        assert word in envelope["message"]
    assert envelope["request_id"] == answer.headers["x-request-id"]


def test_a_job_is_answered_as_predict_answers(jobs_client: AsgiClient, home: Home) -> None:
    """The body of /predict is a job of one request, whose answer is the same, and is in the prediction log."""
    direct = jobs_client.post("/predict", json=ONE).json()
    data = submitted(jobs_client, ONE)
    assert (data["state"], data["requests"], data["results"], data["error"]) == ("queued", 1, None, None)
    done = ended(jobs_client, data["job"])
    (result,) = done["results"]
    assert {**result["answer"], "latency_ms": 0} == {**direct, "latency_ms": 0}
    assert (done["state"], done["attempts"], done["error"], done["callback"]) == ("succeeded", 1, None, None)
    assert done["ended_at"] >= done["submitted_at"] == data["submitted_at"]
    jobs_client.app.state.service.log.flush()  # type: ignore[attr-defined]
    logged = prediction_log(home, columns=["request_id"])["request_id"].to_pylist()
    assert logged.count(result["request_id"]) == 3
    assert result["request_id"].startswith(data["job"])


def test_a_batch_has_a_result_for_each_request(jobs_client: AsgiClient) -> None:
    """Results stand in the order of the requests, each with its own request id."""
    done = ended(jobs_client, submitted(jobs_client, {"requests": [TWO, ONE, TWO]})["job"])
    assert done["requests"] == 3
    assert [each["answer"]["user_id"] for each in done["results"]] == ["b", 5, "b"]
    assert len({each["request_id"] for each in done["results"]}) == 3
    again = jobs_client.get(done["url"]).json()["data"]
    assert again == done, "a job that ended has changed"


def test_a_key_makes_a_job_once(jobs_client: AsgiClient) -> None:
    """The same key and body are the same job, also when it has ended; another body is refused."""
    key = {"Idempotency-Key": "order-7"}
    first = submitted(jobs_client, ONE, key)
    ended(jobs_client, first["job"])
    second = submitted(jobs_client, ONE, key)
    assert (second["job"], second["state"]) == (first["job"], "succeeded")
    assert submitted(jobs_client, ONE)["job"] != first["job"]
    answer = jobs_client.post(PREFIX, json=TWO, headers=key)
    refused(answer, 422, "idempotency_key_reused", "'order-7'", first["job"])
    for wrong in ("", "two words", "k" * 256):
        answer = jobs_client.post(PREFIX, json=ONE, headers={"Idempotency-Key": wrong})
        refused(answer, 422, "invalid_value", "Idempotency-Key")


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({}, "missing_field", ["user_id"]),
        ({"user_id": 1}, "missing_field", ["item_ids"]),
        ({**ONE, "item_ids": []}, "invalid_value", ["item_ids is empty"]),
        ({**ONE, "colour": 1}, "unknown_field", ["'colour'"]),
        ({"requests": []}, "invalid_value", ["requests is empty"]),
        ({**ONE, "requests": None}, "invalid_value", ["requests is null"]),
        ({"requests": [ONE] * 4}, "job_too_long", ["4", "3"]),
        ({"requests": [ONE, {"user_id": 1}]}, "missing_field", ["requests[1]", "item_ids"]),
        ({"requests": [{**ONE, "item_ids": [1, 1]}]}, "duplicate_items", ["requests[0]"]),
        ({"requests": [ONE], "user_id": 3}, "invalid_value", ["'user_id'", "beside"]),
        ({"requests": 3}, "invalid_value", ["requests", "3"]),
        ([ONE], "invalid_value", ["expected object"]),
        ({**ONE, "callback_url": 5}, "invalid_value", ["callback_url"]),
        ({**ONE, "callback_url": "ftp://x.org"}, "invalid_value", ["callback_url", "ftp://x.org"]),
        ({**ONE, "callback_url": "https://x.org/"}, "callback_not_allowed", ["x.org:443", "callbacks.hosts"]),
    ],
)
def test_what_cannot_be_answered_is_refused_at_once(
    jobs_client: AsgiClient, body: object, code: str, words: list[str]
) -> None:
    """A wrong request is a 422 that names the field, and of a batch the request; nothing is taken in."""
    refused(jobs_client.post(PREFIX, json=body), 422, code, *words)
    assert jobs_client.get("/health").status == 200


def test_other_wrong_calls(jobs_client: AsgiClient) -> None:
    """What is no JSON, too long or unknown has its own status."""
    refused(jobs_client.post(PREFIX, body=b"{"), 400, "invalid_json")
    refused(jobs_client.post(PREFIX, body=b'{"user_id": ' + b"[" * 100_000), 400, "invalid_json")
    refused(jobs_client.post(PREFIX, body=b" " * (2 << 20)), 413, "body_too_large")
    refused(jobs_client.get(f"{PREFIX}/nothing"), 404, "job_not_found", "'nothing'")
    refused(jobs_client.send("DELETE", f"{PREFIX}/nothing", []), 404, "job_not_found")
    refused(jobs_client.get(f"{PREFIX}/x", headers={"X-Request-Id": "a b"}), 422, "invalid_request_id")
    assert jobs_client.get(PREFIX).status == 405


def test_without_a_model_jobs_wait(
    make_app: Callable[..., Starlette], deploy: Callable[..., None], clock: ManualClock
) -> None:
    """Jobs are taken in before there is a model, wait without an attempt, and may be cancelled until they begin."""
    with AsgiClient(make_app(jobs=quick(), reload_seconds=0.01)) as client:
        kept, dropped = submitted(client, ONE), submitted(client, TWO)
        cancelled = client.send("DELETE", dropped["url"], [])
        assert (cancelled.status, cancelled.json()["data"]["state"]) == (200, "cancelled")
        assert client.send("DELETE", dropped["url"], []).status == 200, "cancelling twice is no error"
        threading.Event().wait(0.05)
        waiting = client.get(kept["url"]).json()["data"]
        assert (waiting["state"], waiting["attempts"]) == ("queued", 0)
        deploy("v1.0.0")
        done = ended(client, kept["job"])
        assert (done["state"], done["attempts"]) == ("succeeded", 1)
        assert client.get(dropped["url"]).json()["data"]["state"] == "cancelled"
        refused(client.send("DELETE", kept["url"], []), 409, "job_begun", kept["job"], "succeeded")


def test_a_job_that_nothing_will_help_fails_at_once(jobs_client: AsgiClient) -> None:
    """What the features refuse is the error of the job, with the request it is of, after one attempt."""
    early = {**TWO, "context": {"timestamp": "1999-01-01T00:00:00Z"}}
    done = ended(jobs_client, submitted(jobs_client, {"requests": [ONE, early]})["job"])
    assert (done["state"], done["attempts"], done["results"]) == ("failed", 1, None)
    assert done["error"]["code"] == "invalid_value"
    assert done["error"]["message"].startswith("requests[1]: ")


def test_a_job_that_may_be_helped_is_tried_again(
    make_app: Callable[..., Starlette], deploy: Callable[..., None], clock: ManualClock, home: Home
) -> None:
    """A model that fails is asked again after growing pauses; the last attempt takes an answer of a lower level."""
    deploy("v1.0.0", fault="nan")
    jobs = quick(attempts=3, backoff_seconds=10, most_backoff_seconds=15)
    with AsgiClient(make_app(jobs=jobs)) as client:
        job = submitted(client, ONE)
        for attempts, pause in ((1, 10), (2, 15)):
            until = time.monotonic() + 20
            while _progress(client, job["url"]) != ("queued", attempts):
                assert time.monotonic() < until
                threading.Event().wait(0.005)
            clock.advance(timedelta(seconds=pause - 1))
            threading.Event().wait(0.05)
            assert _progress(client, job["url"]) == ("queued", attempts), "the pause is too short"
            clock.advance(timedelta(seconds=1.5))
        done = ended(client, job["job"])
        assert (done["state"], done["attempts"]) == ("succeeded", 3)
        assert done["results"][0]["answer"]["level"] > 1
        client.app.state.service.log.flush()  # type: ignore[attr-defined]
        logged = prediction_log(home, columns=["request_id"])["request_id"].to_pylist()
        assert set(logged) == {done["results"][0]["request_id"]}, "what was never told is logged"


def _progress(client: AsgiClient, url: str) -> tuple[str, int]:
    data = client.get(url).json()["data"]
    return data["state"], data["attempts"]


def test_a_full_queue_sheds(make_app: Callable[..., Starlette]) -> None:
    """Past the bound a job is refused with 503 and a time to come again; a key that is known is answered."""
    with AsgiClient(make_app(jobs=quick(most_open=2, work=False))) as client:
        first = submitted(client, ONE, {"Idempotency-Key": "1"})
        submitted(client, ONE)
        answer = client.post(PREFIX, json=ONE)
        refused(answer, 503, "queue_full", "2 jobs")
        assert int(answer.headers["retry-after"]) >= 1
        assert submitted(client, ONE, {"Idempotency-Key": "1"})["job"] == first["job"]


def test_a_queue_that_is_away_is_a_503(make_app: Callable[..., Starlette], home: Home) -> None:
    """A file that cannot be used refuses jobs, without telling where it is; the server serves on."""
    home.jobs.parent.mkdir(parents=True)
    home.jobs.write_text("a file where the folder should be")
    with AsgiClient(make_app(jobs=quick())) as client:
        answer = client.post(PREFIX, json=ONE)
        refused(answer, 503, "queue_unavailable")
        assert str(home.root) not in answer.text
        assert client.get("/health/live").status == 200


def test_jobs_may_be_off(make_app: Callable[..., Starlette], home: Home) -> None:
    """Without them there is no such path, and none in the document; nothing is written into the home."""
    with AsgiClient(make_app(jobs={"enabled": False})) as client:
        assert client.post(PREFIX, json=ONE).status == 404
        assert PREFIX not in client.get("/openapi.json").json()["paths"]
    assert not home.jobs.exists()


def test_jobs_survive_the_server(make_app: Callable[..., Starlette], deploy: Callable[..., None]) -> None:
    """What one server took in, the next one answers and tells."""
    with AsgiClient(make_app(jobs=quick(work=False))) as client:
        jobs = [submitted(client, ONE)["job"] for _ in range(3)]
    deploy("v1.0.0")
    with AsgiClient(make_app(jobs=quick())) as client:
        assert [ended(client, job)["state"] for job in jobs] == ["succeeded"] * 3


def test_openapi_describes_jobs(jobs_client: AsgiClient) -> None:
    """Every reference of the document leads somewhere, and its limits are those of the configuration."""
    text = jobs_client.get("/openapi.json").text
    document = jobs_client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    references = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert references <= set(schemas)
    assert schemas["JobOfRequests"]["properties"]["requests"]["maxItems"] == 3
    one = schemas["JobOfOneRequest"]["properties"]
    assert {**one, "callback_url": None} == {**schemas["PredictRequest"]["properties"], "callback_url": None}
    assert "callback_url" not in schemas["PredictRequest"]["properties"]
    assert {"202", "422", "503"} <= set(document["paths"][PREFIX]["post"]["responses"])
    assert set(document["paths"][f"{PREFIX}/{{job}}"]) == {"get", "delete"}


def test_the_described_bounds_are_those_of_the_decoder() -> None:
    """As many items and requests as the description allows are taken, one more is refused, and so is none."""
    config = ServingConfig.model_validate({"max_items": 3, "jobs": {"max_requests": 2}})
    schemas = describe_jobs(config)["components"]["schemas"]
    requests = JobRequests(config.jobs, RequestDecoder(config), lambda _: None)

    def taken(body: object) -> bool:
        try:
            requests.job(json.dumps(body).encode(), uuid7(), None)
        except Refused:
            return False
        return True

    items = schemas["JobOfOneRequest"]["properties"]["item_ids"]
    several = schemas["JobOfRequests"]["properties"]["requests"]
    assert (items["minItems"], items["maxItems"], several["minItems"], several["maxItems"]) == (1, 3, 1, 2)
    assert [taken({"user_id": 1, "item_ids": list(range(count))}) for count in range(5)] == [False, *[True] * 3, False]
    assert [taken({"requests": [ONE] * count}) for count in range(4)] == [False, True, True, False]
