"""Objective weights of a request, from its body to its score, the log, and the same request again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs
from tests.models.clicks import SCHEMA

from orita.control.deployments import Deployments
from orita.core.home import Home
from orita.events.prediction_view import find_request
from orita.models.package import Package, load_package
from orita.models.training_bounds import TrainingBounds
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.predict.outliers import BOUNDS_KEY
from orita.serving.resources.predicting import ModelPredictor
from orita.testing.asgi import AsgiClient
from orita.testing.serving import HashedFeatures

BODY = {"user_id": 7, "item_ids": list(range(1, 21))}


@pytest.fixture(scope="module")
def headed(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A model of clicks, likes and seconds."""
    pytest.importorskip("torch", reason="the extra 'train' is not installed: there is no package to serve")
    from tests.models.outcomes import headed_package

    folder = tmp_path_factory.mktemp("headed") / "v1.2.3"
    headed_package(folder)
    return load_package(folder)


@pytest.fixture
def home(tmp_path: Path, headed: Package) -> Home:
    """A home in which it is deployed."""
    home = Home(tmp_path / "home")
    shutil.copytree(headed.folder, home.packages / "feed" / headed.version)
    Deployments(home.control_db).deploy("feed", headed.version, actor="test", reason="test")
    return home


@pytest.fixture
def weighing(home: Home) -> Iterator[AsgiClient]:
    """A client of a server that lets requests weigh likes."""
    config = ServingConfig.model_validate({"objective_bounds": {"like": [0, 2]}, "jobs": {"poll_seconds": 0.01}})
    with AsgiClient(create_app(home, "feed", HashedFeatures(SCHEMA.names), config)) as client:
        yield client


def test_bounds_of_no_head_are_told(home: Home) -> None:
    """Once a version, with the heads that there are; the server serves all the same."""
    config = ServingConfig.model_validate({"objective_bounds": {"like": [0, 2], "share": [0, 1]}})
    with capture_logs() as logs, AsgiClient(create_app(home, "feed", HashedFeatures(SCHEMA.names), config)) as client:
        assert client.post("/predict", json=BODY).status == 200
    told = [each for each in logs if each["event"] == "objective_bounds_of_no_head"]
    assert [(each["bounds"], each["heads"]) for each in told] == [(["share"], ["click", "like", "dwell"])]


def test_weights_move_the_scores(weighing: AsgiClient, home: Home, headed: Package) -> None:
    """They are those of the package with these weights; the log knows them, and has none where none were given."""
    plain = weighing.post("/predict", json=BODY, headers={"X-Request-Id": "plain"}).json()
    told = weighing.post("/predict", json=BODY | {"objective": {"like": 2}}, headers={"X-Request-Id": "weighed"}).json()
    assert plain["predictions"] != told["predictions"]
    weights = {head.name: headed.objective.get(head.name, 0.0) for head in headed.heads} | {"like": 2.0}
    for identity, answer, objective in (("plain", plain, None), ("weighed", told, weights)):
        found = None
        while found is None:
            try:
                found = find_request(home, identity)
            except LookupError:
                continue  # until the next group commit
        assert found.objective == objective
        scores_N = headed.score_user(7, BODY["item_ids"], found.x_NF, objective)  # type: ignore[arg-type]
        np.testing.assert_allclose(found.scores_N, scores_N, atol=1e-6)
        assert answer["predictions"][0]["score"] == pytest.approx(float(scores_N.max()), abs=1e-6)


@pytest.mark.parametrize(
    ("objective", "code"),
    [
        ({"like": 2.5}, "invalid_value"),
        ({"click": 9}, "objective_not_allowed"),
        ({"lik": 1}, "invalid_value"),
        ({"like": "2"}, "invalid_value"),
        (3, "invalid_value"),
    ],
)
def test_what_may_not_be_weighed(weighing: AsgiClient, objective: object, code: str) -> None:
    """It is refused by name."""
    answer = weighing.post("/predict", json=BODY | {"objective": objective})
    assert (answer.status, answer.json()["code"]) == (422, code)
    assert "objective" in answer.json()["message"]


def _asked(client: AsgiClient, face: str, model_id: str, objective: dict[str, float]) -> Any:
    """Return the predictions of a face, or the code of its refusal."""
    body = BODY | {"objective": objective}
    if face == "models":
        answer = client.post(f"/api/v1/models/{model_id}/predict", json=body).json()
        return answer["data"]["predictions"] if answer["data"] else answer["code"]
    if face == "jobs":
        answer = client.post("/api/v1/jobs", json=body).json()
        while answer["data"] is not None and answer["data"]["ended_at"] is None:
            answer = client.get(answer["data"]["url"]).json()
        return answer["data"]["results"][0]["answer"]["predictions"] if answer["data"] else answer["code"]
    weights = [{"head": head, "weight": weight} for head, weight in objective.items()]
    features = {"userId": BODY["user_id"], "itemIds": BODY["item_ids"], "objective": weights}
    query = """mutation Ask($id: ID!, $features: Features!) {
        predict(modelId: $id, features: $features) {level predictions {item_id: itemId score rank}}}"""
    variables = {"id": model_id, "features": features}
    asked = client.post(
        "/graphql",
        json={"query": query, "variables": variables},
        headers={"content-type": "application/json"},
    ).json()
    if "errors" in asked:
        return asked["errors"][0]["extensions"]["code"]
    assert asked["data"]["predict"]["level"] == 1
    return asked["data"]["predict"]["predictions"]


@pytest.mark.parametrize("face", ["models", "another version", "jobs", "graphql"])
def test_every_face_weighs_alike(
    weighing: AsgiClient, headed: Package, face: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights give the predictions of ``POST /predict``, and what may not be weighed is refused as there."""
    if face == "another version":  # the same one, by the way of those that are not deployed
        monkeypatch.setattr(ModelPredictor, "answers_now", lambda *_: False)
        face = "models"
    model_id = headed.metadata.model_id
    direct = weighing.post("/predict", json=BODY | {"objective": {"like": 2}}).json()["predictions"]
    found = _asked(weighing, face, model_id, {"like": 2.0})
    assert [(each["item_id"], each["rank"]) for each in found] == [(each["item_id"], each["rank"]) for each in direct]
    np.testing.assert_allclose([each["score"] for each in found], [each["score"] for each in direct], atol=1e-6)
    assert _asked(weighing, face, model_id, {"like": 2.5}) == "invalid_value"
    assert _asked(weighing, face, model_id, {"click": 9.0}) == "objective_not_allowed"


def test_nothing_is_weighed_unless_declared(home: Home) -> None:
    """Without bounds a request has no say."""
    with AsgiClient(create_app(home, "feed", HashedFeatures(SCHEMA.names))) as client:
        answer = client.post("/predict", json=BODY | {"objective": {"like": 1}})
        assert (answer.status, answer.json()["code"]) == (422, "objective_not_allowed")


def test_an_outlier_is_told(home: Home, headed: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer has the label and its reasons, the metrics have the count; the scores stay."""
    narrow_NF = np.random.default_rng(0).normal(5, 0.01, (1000, len(SCHEMA))).astype(np.float32)
    bounds = TrainingBounds.of(SCHEMA, narrow_NF).to_dict()
    monkeypatch.setattr(Package, "extra", {BOUNDS_KEY: bounds})
    with AsgiClient(create_app(home, "feed", HashedFeatures(SCHEMA.names))) as client:
        answer = client.post("/predict", json=BODY).json()
        assert (answer["outliers"]["label"], answer["outliers"]["share"]) == ("out", 1.0)
        assert answer["outliers"]["reasons"][0]["check"] == "statistics"
        assert len(answer["predictions"]) == 20
        told = client.get("/metrics", headers={"Accept": "text/plain"}).text
        assert 'outlier_requests_total{label="out"} 1.0' in told
        assert "outlier_items_total 20.0" in told
