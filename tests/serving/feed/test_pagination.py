"""Pages of real servers' feeds while everything moves: models, items, what was seen, and which replica answers.

The order is that of the first page, each item once.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serving.feed.made import made_items
from tests.serving.feed.published import ITEMS, NOW, features_of, published_feed

from orita.control.deployments import Deployments
from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.feed.items import Items
from orita.serving.feed.reads import FeedReads
from orita.serving.feed.retrieval import Retrieval
from orita.serving.predict.question import LoadedModel
from orita.testing.asgi import Answer, AsgiClient
from orita.testing.serving import load_line_package, publish_line_package

PATH = "/api/v1/feed"
SESSION = 30
VERSIONS = ("v1.0.0", "v1.1.0", "v1.2.0")


class Replicas:
    """Two servers of one home, whose model and items can change."""

    def __init__(self, home: Home, stack: ExitStack) -> None:
        self.home, self.clock = home, ManualClock(NOW)
        feed = {"session_items": SESSION, "refresh_seconds": 3600, "exploration": {"share": 0}}
        config = ServingConfig.model_validate({"feed": feed})
        features = stack.enter_context(closing(features_of(home)))
        apps = [create_app(home, "feed", features, config, clock=self.clock, load=load_line_package) for _ in range(2)]
        self.servers = [stack.enter_context(AsgiClient(app)) for app in apps]
        self.services = [app.state.service for app in apps]
        for server in self.servers:
            while server.post(PATH, json={"user_id": 0}).status != 200:
                pass
        self._champions = {version: self._deployed(version) for version in reversed(VERSIONS)}

    def ask(self, server: int, **body: Any) -> Answer:
        """Ask one of them for a page."""
        return self.servers[server].post(PATH, json=body)

    def page(self, server: int, **body: Any) -> dict[str, Any]:
        """Return a page of one of them."""
        answer = self.ask(server, **body)
        assert answer.status == 200, answer.text
        found: dict[str, Any] = answer.json()["data"]
        return found

    def _deployed(self, version: str) -> list[LoadedModel]:
        Deployments(self.home.control_db).deploy("feed", version, actor="test", reason="test")
        for service in self.services:
            while service.follower.champion.package.version != version:
                service.follower.look()
        return [service.follower.champion for service in self.services]

    def serve(self, version: str) -> None:
        """Let both answer by another model, as after its deployment."""
        for service, champion in zip(self.services, self._champions[version], strict=True):
            service.follower.champion = champion


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """Two servers with one key; models by three features that order items differently."""
    home = Home(tmp_path_factory.mktemp("home"))
    published_feed(home)
    for version, feature in zip(VERSIONS, ("item_ctr", "item_age_days", "item_popularity"), strict=True):
        publish_line_package(home, "feed", version, (feature,))
    Deployments(home.control_db).deploy("feed", VERSIONS[0], actor="test", reason="test")
    with ExitStack() as stack:
        yield Replicas(home, stack)


def shown(page: dict[str, Any]) -> list[tuple[int, int]]:
    """Return ranks and items of a page."""
    return [(item["rank"], item["item_id"]) for item in page["predictions"]]


moves = st.tuples(st.integers(1, 12), st.integers(0, 1), st.sampled_from(VERSIONS), st.integers(0, 3))


@settings(max_examples=20, deadline=None)
@given(user=st.integers(0, 50), first=st.integers(1, 12), steps=st.lists(moves, min_size=1, max_size=8))
def test_pages_follow_the_first_page_s_ranking(
    replicas: Replicas, user: int, first: int, steps: list[tuple[int, int, str, int]]
) -> None:
    """Whatever limit, replica, model and age a page has, the feed is the one that its first page fixed."""
    replicas.serve(VERSIONS[0])
    whole = shown(replicas.page(0, user_id=user, limit=SESSION))
    page = replicas.page(0, user_id=user, limit=first)
    together, number = shown(page), 0
    while page["cursor"] is not None:
        limit, server, version, minutes = steps[number % len(steps)]
        replicas.serve(version)
        replicas.clock.advance(timedelta(minutes=minutes % 2, seconds=minutes))
        page = replicas.page(server, user_id=user, limit=limit, cursor=page["cursor"])
        assert page["model_version"] == version
        assert len(page["predictions"]) == min(limit, SESSION - len(together))
        together, number = together + shown(page), number + 1
    assert together == whole
    assert [rank for rank, _ in together] == list(range(1, SESSION + 1))
    assert len({item for _, item in together}) == SESSION


def test_items_that_come_and_go_do_not_move_later_pages(replicas: Replicas, monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed under way keeps to its items, also to those that are no longer known; a new one is of those that are."""
    replicas.serve(VERSIONS[0])
    whole = shown(replicas.page(0, user_id=7, limit=SESSION))
    page = replicas.page(0, user_id=7, limit=10)
    fewer: Items = made_items(12)
    with monkeypatch.context() as patched:
        patched.setattr(Retrieval, "candidates", _candidates_of(fewer))
        later = replicas.page(0, user_id=7, limit=20, cursor=page["cursor"])
        assert shown(page) + shown(later) == whole
        assert {item for _, item in shown(replicas.page(0, user_id=7, limit=20))} <= set(range(12))


def _candidates_of(items: Items) -> Any:
    found = Retrieval.candidates
    return lambda self, _, asker: found(self, items, asker)


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 10_000), flip=st.integers(1, 255), cut=st.booleans())
def test_a_cursor_that_was_touched_is_refused(replicas: Replicas, at: int, flip: int, cut: bool) -> None:
    """Any byte of it: changed, or what follows cut off; never a page, never a 500."""
    cursor = replicas.page(0, user_id=3, limit=5)["cursor"]
    raw = bytearray(base64.urlsafe_b64decode(cursor))
    if cut:
        del raw[at % len(raw) :]
    else:
        raw[at % len(raw)] ^= flip
    touched = base64.urlsafe_b64encode(bytes(raw)).decode() or "A"
    answer = replicas.ask(1, user_id=3, limit=5, cursor=touched)
    assert (answer.status, answer.json()["code"]) == (422, "invalid_cursor")


@settings(max_examples=60, deadline=None)
@given(cursor=st.text(min_size=1, max_size=300))
def test_a_text_that_is_no_cursor_is_refused(replicas: Replicas, cursor: str) -> None:
    """Whatever it says."""
    answer = replicas.ask(0, user_id=3, cursor=cursor)
    assert (answer.status, answer.json()["code"]) == (422, "invalid_cursor")


def test_a_cursor_ends_on_every_replica(replicas: Replicas) -> None:
    """It is as old as the page that it came with, whoever is asked."""
    replicas.serve(VERSIONS[0])
    cursor = replicas.page(0, user_id=3, limit=5)["cursor"]
    replicas.clock.advance(timedelta(seconds=1799))
    later = replicas.page(1, user_id=3, limit=5, cursor=cursor)
    replicas.clock.advance(timedelta(seconds=2))
    for server in (0, 1):
        answer = replicas.ask(server, user_id=3, limit=5, cursor=cursor)
        assert (answer.status, answer.json()["code"]) == (410, "expired_cursor")
    assert len(shown(replicas.page(0, user_id=3, limit=5, cursor=later["cursor"]))) == 5


def test_what_was_seen_meanwhile_stays_where_it_was(replicas: Replicas, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user has seen since the first page is not lost from later ones; a new feed puts it behind."""
    replicas.serve(VERSIONS[0])
    whole = shown(replicas.page(0, user_id=8, limit=SESSION))
    page = replicas.page(0, user_id=8, limit=10)
    seen = {item for _, item in whole[:20]}
    with monkeypatch.context() as patched:
        patched.setattr(FeedReads, "seen", lambda self, asker, ids: np.array([item in seen for item in ids]))
        assert shown(page) + shown(replicas.page(0, user_id=8, limit=20, cursor=page["cursor"])) == whole
        again = [item for _, item in shown(replicas.page(0, user_id=8, limit=SESSION))]
    assert not seen & set(again[: ITEMS - len(seen)]) and set(again[ITEMS - len(seen) :]) <= seen
