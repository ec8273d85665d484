"""The clients and a real server of Orita agree: every call, over a real socket."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.client.served import serving
from tests.serving.test_features_routes import StandInStore

from orita.client import FeatureRows, Job, Refused
from orita.control.deployments import Deployments
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.testing.serving import HashedFeatures, load_line_package, publish_line_package

Opened = Callable[..., Any]
FEATURES = ("item_ctr", "item_popularity")
ROW = {"user_id": 1, "item_id": 7, "timestamp": "2024-11-15T10:30:00Z"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a model, a feature store, and ``/config``."""
    yield from _serving(tmp_path_factory.mktemp("home"), deploy=True)


@pytest.fixture
def url_without_model(tmp_path: Path) -> Iterator[str]:
    """A server where nothing was deployed."""
    yield from _serving(tmp_path, deploy=False)


def _serving(folder: Path, *, deploy: bool) -> Iterator[str]:
    home = Home(folder)
    if deploy:
        publish_line_package(home, "feed", "v1.0.0", FEATURES)
        Deployments(home.control_db).deploy("feed", "v1.0.0", actor="test", reason="test")
    config = ServingConfig(expose_config=True)
    store: Any = StandInStore()
    app = create_app(home, "feed", HashedFeatures(FEATURES), config, store=store, load=load_line_package)
    with serving(app) as address:
        yield address


def test_predict(opened: Opened, url: str) -> None:
    """Every item comes back once, best first, with the id that feedback names."""
    with opened(url) as ask:
        ranking = ask("predict", 1, [7, 8, "nine"], context={"device": "mobile"}, request_id="r-1")
    assert sorted(map(str, ranking.item_ids)) == ["7", "8", "nine"]
    assert [item.rank for item in ranking.predictions] == [1, 2, 3]
    assert (ranking.user_id, ranking.model_version, ranking.request_id) == (1, "v1.0.0", "r-1")
    assert ranking.latency_ms > 0


def test_what_the_server_refuses(opened: Opened, url: str) -> None:
    """The server's code and sentence arrive as they are."""
    with opened(url) as ask, pytest.raises(Refused, match="allowed are mobile, desktop, tablet") as caught:
        ask("predict", 1, [7], context={"device": "fridge"})
    assert (caught.value.status, caught.value.code) == (422, "invalid_value")


def test_what_the_server_says_of_itself(opened: Opened, url: str) -> None:
    """Health, metrics and configuration, typed."""
    with opened(url) as ask:
        assert ask("health").status == "ok"
        before = ask("metrics").requests_total
        ask("predict", 1, [7])
        assert ask("metrics").requests_total > before
        config = ask("config")
    assert (config.model_config["type"], config.feature_config.features) == ("line", FEATURES)


def test_a_server_without_a_model(opened: Opened, url_without_model: str) -> None:
    """It has a health, which is an answer, at once; what needs the model is refused after the retries."""
    with opened(url_without_model, timeout=15) as ask:
        assert ask("health").status == "no_model"
        with pytest.raises(Refused) as caught:
            ask("predict", 1, [7])
    assert (caught.value.code, caught.value.retry_after) == ("no_model", 1)


def test_the_feature_store(opened: Opened, url: str) -> None:
    """Online, offline, as a job, and pushed."""
    with opened(url) as ask:
        assert [row["item_id"] for row in ask("features.online", 1, [7, 8]).rows] == [7, 8]
        assert len(ask("features.offline", [ROW], as_of="event").rows) == 1
        job = ask("features.start_offline", [ROW])
        assert isinstance(job, Job)
        found: object = job
        while isinstance(found, Job):
            found = ask("features.job", job.job)
            time.sleep(0.01)
        assert isinstance(found, FeatureRows) and len(found.rows) == 1
        assert ask("features.push", [ROW | {"interaction_id": "a", "click": 1}]).taken == 1
        with pytest.raises(Refused, match="'nonsense' is not declared") as caught:
            ask("features.online", 1, [7], ["nonsense"])
        assert (caught.value.status, caught.value.code) == (422, "not_found")
        with pytest.raises(Refused) as caught:
            ask("features.job", "no such/job")
        assert caught.value.code in {"job_not_found", "not_found"}
