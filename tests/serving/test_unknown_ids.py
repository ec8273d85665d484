"""What becomes of users and items of which the features know nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from tests.serving.feed.published import NOW, features_of, feed_system, published_feed
from tests.serving.patience import attempts

from orita.control.deployments import Deployments
from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.core.home import Home
from orita.features.online.following import OnlineFeatures
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.testing.asgi import AsgiClient
from orita.testing.serving import HashedFeatures, load_line_package, publish_line_package

KNOWN, NOBODY = 99, 12345
ASKED: dict[str, Any] = {"user_id": KNOWN, "item_ids": [1, 2]}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with online state and a deployed model."""
    home = Home(tmp_path_factory.mktemp("home"))
    published_feed(home)
    publish_line_package(home, "feed", "v1.0.0", ("user_topic_ctr", "item_ctr"))
    Deployments(home.control_db).deploy("feed", "v1.0.0", actor="test", reason="test")
    return home


@pytest.fixture(scope="module")
def features(published: Home) -> Iterator[OnlineFeatures]:
    """The features of the home."""
    with closing(features_of(published)) as opened:
        yield opened


@pytest.fixture
def make(published: Home, features: OnlineFeatures) -> Callable[..., Starlette]:
    """Make an app with the policies that are given."""

    def app(faults: tuple[dict[str, Any], ...] = (), **policies: str) -> Starlette:
        config = ServingConfig.model_validate({"unknown_ids": policies, "faults": faults})
        return create_app(published, "feed", features, config, clock=ManualClock(NOW), load=load_line_package)

    return app


def told(client: AsgiClient, asked: dict[str, Any], path: str = "/predict") -> tuple[int, str]:
    """Return status and message of an answer, a message without an error being empty."""
    answer = client.post(path, json=asked)
    if answer.status == 200:
        return 200, ""
    assert answer.json()["code"] == "unknown_ids", answer.text
    return answer.status, answer.json()["message"]


def test_they_are_newcomers_unless_it_is_said(make: Callable[..., Starlette]) -> None:
    """By default whoever is not known gets an answer."""
    with AsgiClient(make()) as client:
        assert told(client, {"user_id": NOBODY, "item_ids": [1, 999, "of text"]}) == (200, "")


def test_items_are_refused_by_name(make: Callable[..., Starlette]) -> None:
    """One is enough; some are named, and a user who is not known is none of it. An id is known as it may be spelt."""
    with AsgiClient(make(items="refuse")) as client:
        assert told(client, ASKED) == told(client, {"user_id": NOBODY, "item_ids": ["1", 2]}) == (200, "")
        status, message = told(client, {**ASKED, "item_ids": [1, 999, "x", 2, 998, 997]})
        assert status == 422
        assert message.startswith("item_ids has 999, 'x', 998 and 1 more, of which nothing is known: allowed are items")


def test_users_are_refused_by_name(make: Callable[..., Starlette]) -> None:
    """Also by the feed; requests of a batch each for itself."""
    with AsgiClient(make(users="refuse")) as client:
        for _ in attempts():
            if client.post("/api/v1/feed", json={"user_id": KNOWN}).status == 200:
                break
        nobody = {"user_id": NOBODY, "item_ids": [1, 999]}
        allowed = "allowed are users with an event, or an attribute that a feature reads."
        refused = (422, f"user_id has {NOBODY}, of which nothing is known: {allowed}")
        assert told(client, {**ASKED, "item_ids": [1, 999]}) == (200, "")
        assert told(client, nobody) == refused
        assert told(client, {"user_id": NOBODY}, "/api/v1/feed") == refused
        results = client.post("/predict/batch", json={"requests": [ASKED, nobody]}).json()["results"]
        assert [result.get("error", {}).get("code") for result in results] == [None, "unknown_ids"]


def test_what_the_feed_found_is_not_refused(tmp_path: Path) -> None:
    """Items that a page is made of may be gone when they are scored: nobody gave them."""
    home = Home(tmp_path)
    published_feed(home)
    publish_line_package(home, "feed", "v1.0.0", ("user_topic_ctr", "item_ctr"))
    Deployments(home.control_db).deploy("feed", "v1.0.0", actor="test", reason="test")
    config = ServingConfig.model_validate({"unknown_ids": {"users": "refuse", "items": "refuse"}})
    with closing(features_of(home)) as features:
        app = create_app(home, "feed", features, config, clock=ManualClock(NOW), load=load_line_package)
        with AsgiClient(app) as client:
            for _ in attempts():
                first = client.post("/api/v1/feed", json={"user_id": KNOWN, "limit": 5})
                if first.status == 200:
                    break
            published_feed(home, items=20)
            features.refresh()
            cursor = first.json()["data"]["cursor"]
            assert told(client, {"user_id": KNOWN, "limit": 40, "cursor": cursor}, "/api/v1/feed") == (200, "")
            assert told(client, {"user_id": KNOWN, "limit": 40}, "/api/v1/feed") == (200, "")
            assert told(client, {"user_id": KNOWN, "item_ids": [30]})[0] == 422


def test_jobs_have_it_as_their_error(make: Callable[..., Starlette]) -> None:
    """What is answered later is refused later."""
    with AsgiClient(make(items="refuse")) as client:
        url = client.post("/api/v1/jobs", json={**ASKED, "item_ids": [999]}).headers["location"]
        for _ in attempts():
            job = client.get(url).json()["data"]
            if job["state"] not in ("queued", "running"):
                break
        assert "unknown_ids" in str(job)


def test_while_the_store_is_away_nobody_knows(make: Callable[..., Starlette], monkeypatch: pytest.MonkeyPatch) -> None:
    """A level below answers, as it does for others."""
    monkeypatch.setenv("ORITA_ALLOW_FAULTS", "1")
    away = {"part": "store", "kind": "error"}
    with AsgiClient(make((away,), users="refuse", items="refuse")) as client:
        answer = client.post("/predict", json={"user_id": NOBODY, "item_ids": [999]})
        assert (answer.status, answer.json()["level"] > 1) == (200, True)


def test_what_cannot_tell_does_not_start(published: Home, tmp_path: Path) -> None:
    """Features that keep nothing of users, or do not say whom they know, cannot refuse: the server says so."""
    config = ServingConfig.model_validate({"unknown_ids": {"users": "refuse"}})
    with pytest.raises(UserError, match="do not tell which ids they know"):
        create_app(published, "feed", HashedFeatures(("item_ctr",)), config, load=load_line_package)
    plain, home = feed_system(plain=True), Home(tmp_path)
    published_feed(home, declared=plain)
    with (
        closing(features_of(home, plain)) as known,
        pytest.raises(UserError, match="nothing is kept of one user alone"),
    ):
        create_app(home, "feed", known, config, load=load_line_package)
