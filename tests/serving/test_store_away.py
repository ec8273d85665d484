"""A server that starts while its online store is away answers without its model, and with it once the store is back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.features.small_system import events, ingested, small_workspace
from tests.features.stores.redis_process import RedisProcess

from orita.control.deployments import Deployments
from orita.core.clock import SystemClock
from orita.features.generations.opening import OnlineConfig
from orita.features.online.following import OnlineFeatures
from orita.pipelines.etl import publish_online
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.testing.asgi import AsgiClient
from orita.testing.serving import load_line_package, publish_line_package

ASKED = {"user_id": 1, "item_ids": [1, 2]}


@pytest.fixture
def process(tmp_path: Path) -> Iterator[RedisProcess]:
    """A Redis that the test may stop."""
    process = RedisProcess(tmp_path)
    yield process
    process.kill()


def test_a_server_answers_before_its_store_is_there(process: RedisProcess, tmp_path: Path) -> None:
    """It starts, answers below the model, wants no requests, and needs nobody's help once the store is back."""
    workspace = replace(small_workspace(tmp_path), online=OnlineConfig(store="redis", redis=process.config))
    ingested(workspace.home, tmp_path, events(20), workspace.system)
    publish_online(workspace)
    publish_line_package(workspace.home, "small", "v1.0.0", ("item_ctr",))
    publish_line_package(workspace.home, "small", "v1.1.0", ("item_ctr",))
    for version in ("v1.0.0", "v1.1.0"):
        Deployments(workspace.home.control_db).deploy("small", version, actor="test", reason="test")
    process.kill()
    features = OnlineFeatures(workspace.plan, workspace.generations(), ahead=True)
    config = ServingConfig(reload_seconds=0.1)
    app = create_app(workspace.home, "small", features, config, clock=SystemClock(), load=load_line_package)
    with AsgiClient(app) as client:
        answer = client.post("/predict", json=ASKED)
        assert (answer.status, answer.json()["model_version"], answer.json()["level"]) == (200, "v1.1.0", 4)
        assert [item["item_id"] for item in answer.json()["predictions"]] == ASKED["item_ids"]
        assert client.get("/health/live").status == 200
        ready, health = client.get("/health/ready"), client.get("/health").json()
        assert (ready.status, ready.json()["status"], health["status"]) == (503, "no_features", "degraded")
        assert "is away" in ready.json()["detail"]
        assert "is away" in health["detail"]
        process.start()
        until = time.monotonic() + 30
        while (answer := client.post("/predict", json=ASKED)).json()["level"] != 1:
            assert (answer.status, time.monotonic() < until) == (200, True), answer.text
            time.sleep(0.05)
        assert answer.json()["model_version"] == "v1.1.0"
        assert client.get("/health/ready").status == 200
        while (health := client.get("/health").json())["status"] != "ok":  # the items of the feed come a little later
            assert time.monotonic() < until, health
            time.sleep(0.05)
    features.close()
