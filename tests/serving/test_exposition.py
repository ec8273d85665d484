"""What a server tells Prometheus of its faces, its jobs and its models, as Prometheus itself judges it."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.serving.models_at_hand import FEATURES, StandInRegistry, StandInStore, model_id, publish_model

from orita.core.clock import SystemClock
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.testing.asgi import AsgiClient
from orita.testing.serving import HashedFeatures, load_line_package

ONE = {"user_id": 7, "item_ids": [1, 2, 3]}
HERE = {"host": "localhost"}


@pytest.fixture
def client(home: Home) -> Iterator[AsgiClient]:
    """A client of a server with ``v1.2.0`` deployed, two others published, and room for one of them."""
    for version in ("v1.0.0", "v1.1.0"):
        publish_model(home, version)
    publish_model(home, "v1.2.0", deploy=True)
    settings = {"jobs": {"poll_seconds": 0.01}, "models": {"memory_mib": 3}, "reload_seconds": 0.01}
    app = create_app(
        home,
        "feed",
        HashedFeatures(FEATURES),
        ServingConfig.model_validate(settings),
        store=StandInStore(),
        clock=SystemClock(),
        load=load_line_package,
        registry=StandInRegistry(home),
    )
    with AsgiClient(app) as client:
        yield client


def exposed(client: AsgiClient) -> str:
    """Return what Prometheus would read."""
    return client.get("/metrics", {"accept": "text/plain"}).text


def told(client: AsgiClient) -> dict[tuple[str, ...], float]:
    """Return the samples by name and the values of their labels."""
    families = text_string_to_metric_families(exposed(client))
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def job_done(client: AsgiClient, **job: object) -> None:
    """Send a job and wait until it ended."""
    url = client.post("/api/v1/jobs", json=job).json()["data"]["url"]
    until = time.monotonic() + 20
    while client.get(url).json()["data"]["ended_at"] is None:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_faces_are_timed_by_route(client: AsgiClient) -> None:
    """Each answer beside /predict counts under its pattern and the class of its status, whatever callers ask for."""
    for number in range(5):
        assert client.get(f"/api/v1/jobs/nobody-{number}").status == 404
        assert client.get(f"/api/v1/models/nobody-{number}").status == 404
        assert client.get(f"/api/v1/models/a/b/{number}").status == 404
    assert client.post("/api/v1/features/online", json=ONE).status == 200
    assert client.post("/graphql", json={"query": "{models {id}}"}, headers=HERE | {"content-type": "application/json"})
    assert client.post("/predict", json=ONE).status == 200
    counts = {key[1:]: count for key, count in told(client).items() if key[0] == "api_latency_count"}
    assert counts == {
        ("GET /api/v1/jobs/{job}", "4xx"): 5,
        ("GET /api/v1/models/{model_id}", "4xx"): 5,
        ("GET /api/v1/models/{rest:path}", "4xx"): 5,
        ("POST /api/v1/features/online", "2xx"): 1,
        ("POST /graphql", "2xx"): 1,
    }


def test_jobs_are_counted(client: AsgiClient) -> None:
    """Jobs count when they are taken in, when they end, and by how long that took; a known one is not a new one."""
    job_done(client, requests=[ONE, ONE])
    for _ in range(2):
        client.post("/api/v1/jobs", json=ONE, headers={"idempotency-key": "once"})
    until = time.monotonic() + 20
    while (found := told(client))["jobs_ended_total", "succeeded"] < 2 or ("jobs_open", "queued") not in found:
        assert time.monotonic() < until
    assert found["jobs_taken_total",] == 2
    assert (found["jobs_ended_total", "failed"], found["jobs_ended_total", "cancelled"]) == (0, 0)
    assert found["job_latency_count",] == 2
    assert 0 < found["job_latency_sum",] < 60
    while told(client)["jobs_open", "queued"] + told(client)["jobs_open", "running"] > 0:
        assert time.monotonic() < until
    assert found["job_leases_lost_total",] == 0


def test_models_beside_the_deployed_one_are_counted(client: AsgiClient) -> None:
    """Loads and evictions count, and what is in memory is told."""
    for version in ("v1.0.0", "v1.1.0", "v1.0.0"):
        assert client.post(f"/api/v1/models/{model_id(version)}/predict", json=ONE).status == 200
    found = told(client)
    assert found["model_loads_total", "loaded"] == 3
    assert found["model_evictions_total",] == 2
    assert found["models_in_memory",] == 1
    assert 2 * 1024**2 < found["models_in_memory_bytes",] < 3 * 1024**2


def test_prometheus_finds_nothing_wrong(client: AsgiClient) -> None:
    """``promtool check metrics`` has nothing to say of names, types and texts."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool here: sudo apt-get install prometheus")
    job_done(client, **ONE)
    assert client.post("/predict", json=ONE).status == 200
    assert client.get("/api/v1/models").status == 200
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=exposed(client), capture_output=True, text=True, timeout=30, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", ""), json.dumps(checked.stderr)
