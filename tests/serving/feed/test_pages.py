"""Pages of a feed: whatever they are cut to and however scores move, together they are one feed, each item once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serving.feed.made import AT, Sink, Stub, StubReads, made_items

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.serving.feed.config import FeedConfig
from orita.serving.feed.cursor import Cursors
from orita.serving.feed.feed import Feed, FeedAnswer
from orita.serving.feed.items import Items
from orita.serving.feed.requests import FeedAsked
from orita.serving.feed.reranking import Reranking
from orita.serving.feed.retrieval import Retrieval
from orita.serving.http.refusal import Refused
from orita.serving.resilience.admission import Admission
from orita.serving.resilience.limit import BudgetLimit
from orita.serving.resilience.turns import Turns
from orita.serving.resilience.turnstile import Turnstile
from orita.testing.serving import LinePackage, load_line_package, publish_line_package


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> LinePackage:
    """A package of two features."""
    home = Home(tmp_path_factory.mktemp("home"))
    return load_line_package(publish_line_package(home, "feed", "v1.0.0", ("a", "b")))


class Place:
    """A feed of 150 items over stand-ins, and what it logged."""

    def __init__(self, package: LinePackage, seed: int = 0, max_bytes: int = 4096) -> None:
        self.items: Items | None = made_items(150)
        self.sink, self.model = Sink(), Stub(package, seed)
        self.reads = StubReads(seen=[0, 1])
        config = FeedConfig.model_validate({"candidates": 90, "session_items": 60})
        retrieval = Retrieval([], self.reads, config)  # type: ignore[arg-type]
        clock = ManualClock(AT)
        cursors = Cursors(bytes(32), "t/feed", clock, seconds=60, max_bytes=max_bytes)
        self.remembered: list[int] = []
        reranking = Reranking(config, "topic")
        self.feed = Feed(
            lambda: self.items,
            retrieval,
            reranking,
            cursors,
            self.model,
            self._remember,
            self.sink,
            Turns(Turnstile(Admission(BudgetLimit(0.025)), clock), clock),
            clock,
        )

    def _remember(self, user_id: object, item_ids: Sequence[object], scores_N: npt.NDArray[np.float32]) -> None:
        self.remembered.append(len(item_ids))

    def page(self, limit: int, cursor: str | None = None, user: int | str = 5) -> FeedAnswer:
        """Return a page."""
        asked = FeedAsked(user, limit, {}, None, cursor)
        return asyncio.run(self.feed.answer(asked, f"request-{len(self.sink.requests)}", 0.0))


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), limits=st.lists(st.integers(1, 25), min_size=1, max_size=8))
def test_pages_neither_repeat_nor_lose_an_item(package: LinePackage, seed: int, limits: list[int]) -> None:
    """Scores are new with each page, items change, limits are any: the feed is that of its first page."""
    place = Place(package, seed)
    first = place.page(limits[0])
    whole = Place(package, seed).page(60)  # the same scores, all on one page
    shown, cursor, number = list(first.predictions), first.cursor, 0
    while cursor is not None:
        place.items = made_items(150 - number % 3)  # an item goes, another comes
        place.reads.seen_items.update(int(item.item_id) for item in shown)
        number += 1
        page = place.page(limits[number % len(limits)], cursor)
        shown, cursor = shown + page.predictions, page.cursor
    assert [item.item_id for item in shown] == [item.item_id for item in whole.predictions]
    assert len({item.item_id for item in shown}) == 60
    assert [item.rank for item in shown] == list(range(1, 61))


def test_the_same_cursor_gives_the_same_items(package: LinePackage) -> None:
    """A page can be asked for twice, as by a client whose connection broke."""
    place = Place(package)
    cursor = place.page(7).cursor
    once, again = place.page(7, cursor), place.page(7, cursor)
    assert [item.item_id for item in once.predictions] == [item.item_id for item in again.predictions]
    assert [item.score for item in once.predictions] != [item.score for item in again.predictions]


def test_the_log_has_what_was_shown_where(package: LinePackage) -> None:
    """A row an item shown, with its score, its features, and its place in the whole feed; candidates leave none."""
    place = Place(package)
    first = place.page(4)
    place.page(3, first.cursor)
    one, two = place.sink.requests
    assert one.item_ids == [item.item_id for item in first.predictions]
    np.testing.assert_allclose(np.frombuffer(one.scores, np.float32), [item.score for item in first.predictions])
    assert np.frombuffer(one.ranks, np.int32).tolist() == [1, 2, 3, 4]
    assert np.frombuffer(two.ranks, np.int32).tolist() == [5, 6, 7]
    assert np.frombuffer(two.features, np.float32).tolist() == [2.0] * 6
    assert (one.request_id, two.request_id) == ("request-0", "request-1")
    assert place.remembered == [90]  # what a user's items scored is known for when no model can be asked


def test_a_cursor_that_holds_less_ends_the_feed_earlier(package: LinePackage) -> None:
    """A bound of bytes cuts the feed, and still none is repeated."""
    place = Place(package, max_bytes=80)
    page = place.page(5)
    shown = [item.item_id for item in page.predictions]
    while page.cursor is not None:
        page = place.page(5, page.cursor)
        shown += [item.item_id for item in page.predictions]
    assert 5 < len(shown) < 60
    assert len(set(shown)) == len(shown)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (lambda place: setattr(place, "items", None), 503, "no_items"),
        (lambda place: setattr(place, "items", made_items(0)), 503, "no_items"),
    ],
)
def test_without_items_there_is_no_feed(
    package: LinePackage, change: Callable[[Place], None], status: int, code: str
) -> None:
    """Before items are read, callers are asked to come back."""
    place = Place(package)
    change(place)
    with pytest.raises(Refused) as refused:
        place.page(5)
    assert (refused.value.status, refused.value.code, refused.value.retry_after) == (status, code, 1)


def test_a_feed_may_be_empty(package: LinePackage) -> None:
    """Where every item is hidden the page has none, nothing is logged, and there is no cursor."""
    place = Place(package)
    place.items = made_items(3, hidden=[0, 1, 2])
    page = place.page(5)
    assert (page.predictions, page.cursor, page.model_version) == ([], None, "v1.0.0")
    assert not place.sink.requests


def test_another_user_s_cursor_is_refused(package: LinePackage, tmp_path: Path) -> None:
    """A feed is its user's."""
    place = Place(package)
    cursor = place.page(5).cursor
    with pytest.raises(Refused, match="none of this user's feeds"):
        place.page(5, cursor, user=6)
