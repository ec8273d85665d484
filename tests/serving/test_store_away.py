"""A server that starts while its online store is away says so, and answers soon after the store is there."""

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


def test_a_server_waits_for_its_store(process: RedisProcess, tmp_path: Path) -> None:
    """It starts, is not ready, refuses with 503 and Retry-After, and needs nobody's help once the store is back."""
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
        assert (answer.status, answer.json()["code"], answer.headers["retry-after"]) == (503, "no_model", "1")
        assert client.get("/health/live").status == 200
        ready = client.get("/health/ready")
        assert (ready.status, ready.json()["status"]) == (503, "no_model")
        assert "v1.1.0" in ready.json()["detail"]
        assert "is away" in ready.json()["detail"]
        process.start()
        until = time.monotonic() + 30
        while (answer := client.post("/predict", json=ASKED)).status != 200:
            assert time.monotonic() < until, answer.text
            time.sleep(0.05)
        assert (answer.json()["model_version"], answer.json()["level"]) == ("v1.1.0", 1)
        assert client.get("/health/ready").status == 200
    features.close()
