"""The protocol as a server of a system answers it: of the model that is deployed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.models.clicks import SCHEMA

from orita.control.deployments import Deployments
from orita.core.home import Home
from orita.models.package import Package
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.testing.asgi import AsgiClient
from orita.testing.serving import HashedFeatures


def served(home: Home, **settings: object) -> AsgiClient:
    """Return a client of a server of *home*."""
    config = ServingConfig.model_validate({"reload_seconds": 0.01, **settings})
    return AsgiClient(create_app(home, "feed", HashedFeatures(SCHEMA.names), config))


def test_the_deployed_model_answers(tmp_path: Path, feed: Package) -> None:
    """The system's name and the deployed version are what there is; before a model is loaded nothing is ready."""
    home = Home(tmp_path / "home")
    x_NF = np.random.default_rng(0).random((3, len(SCHEMA.names)), dtype=np.float32)
    asked = {
        "inputs": [
            {"name": "features", "shape": list(x_NF.shape), "datatype": "FP32", "data": x_NF.tolist()},
            {"name": "users", "shape": [3], "datatype": "INT64", "data": [1, 1, 2]},
            {"name": "items", "shape": [3], "datatype": "INT64", "data": [1, 2, 3]},
        ]
    }
    with served(home) as client:
        assert client.get("/v2/health/live").status == 200
        assert client.get("/v2/health/ready").status == 503
        assert client.post("/v2/models/feed/infer", json=asked).status == 503
        shutil.copytree(feed.folder, home.packages / "feed" / feed.version)
        Deployments(home.control_db).deploy("feed", feed.version, actor="test", reason="test")
        while client.get("/v2/health/ready").status != 200:
            pass
        assert client.get("/v2/models/feed").json()["versions"] == [feed.version]
        answer = client.post(f"/v2/models/feed/versions/{feed.version}/infer", json=asked).json()
        scores_N = feed.score(np.array([1, 1, 2]), np.array([1, 2, 3]), x_NF)
        np.testing.assert_array_equal(np.array(answer["outputs"][0]["data"], np.float32), scores_N)
        for path, told in (
            ("feed/versions/v9.9.9", "has no version 'v9.9.9' here. Known: v1.2.3"),
            ("fed", "Did you mean 'feed'"),
        ):
            refused = client.post(f"/v2/models/{path}/infer", json=asked)
            assert refused.status == 404
            assert told in refused.json()["error"]
        assert "/v2/models/{name}/infer" in client.get("/openapi.json").json()["paths"]


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"host": "0.0.0.0"}, 404),
        ({"expose_inference": False}, 404),
        ({"host": "0.0.0.0", "expose_inference": True}, 200),
    ],
)
def test_it_is_exposed_on_demand(tmp_path: Path, settings: dict[str, object], status: int) -> None:
    """Where the listener is public, the protocol answers only if it is asked for; its description says the same."""
    with served(Home(tmp_path), **settings) as client:
        assert client.get("/v2").status == status
        asked = client.get("/v2/health/live")
        assert asked.status == status
        assert ("serving.expose_inference" in asked.json().get("error", "")) == (status == 404)
        assert ("/v2" in client.get("/openapi.json").json()["paths"]) == (status == 200)
