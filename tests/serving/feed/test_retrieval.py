"""Candidates: from several sources, each item once, none that may not be shown, what was seen last or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.feed.made import StubReads, asker, made_items

from orita.core.clock import SystemClock
from orita.models.examples import Ids
from orita.models.retrieval.retriever import Retrieved
from orita.serving.feed.config import FeedConfig
from orita.serving.feed.retrieval import Retrieval
from orita.serving.feed.rules import PinRule
from orita.serving.feed.sources import DeployedRetriever, Newest, Pinned, Popular, Source, Topics
from orita.serving.resilience.guard import Guard, GuardConfig


class Found:
    """A retriever that finds the same for everybody, or fails."""

    version, type = "v1.0.0", "stub"

    def __init__(self, items: Sequence[int], *, fails: bool = False) -> None:
        self.items, self.fails, self.asked = items, fails, 0

    def retrieve(self, users_Q: Ids, k: int, *, exclude_seen: bool = True) -> Retrieved:
        """Return the first *k*; behind them places that mean nothing."""
        self.asked += 1
        if self.fails:
            raise RuntimeError("no index")
        items_QK = np.array([[*self.items[:k], 0]])
        return Retrieved(items_QK, np.array([[*range(len(items_QK[0]), 1, -1), -np.inf]], np.float32))


def retriever(found: Found | None) -> DeployedRetriever:
    """Return the source of a deployed retriever."""
    return DeployedRetriever(lambda: found, Guard("retriever", GuardConfig(), SystemClock()), exclude_seen=True)


def found_by(sources: list[tuple[Source, int]], reads: StubReads, count: int = 40, **settings: Any) -> list[int]:
    """Return the ids of the candidates among *count* items."""
    items = made_items(count)
    config = FeedConfig.model_validate({"candidates": 12, "session_items": 12, **settings})
    row_C, _ = Retrieval(sources, reads, config).candidates(items, asker())  # type: ignore[arg-type]
    return [int(item) for item in items.ids(row_C)]


def test_sources_are_joined_without_repeating_and_filled_up() -> None:
    """Each gives its share, in order; an item that two found is there once; popular ones fill the rest."""
    sources: list[tuple[Source, int]] = [(retriever(Found([30, 0, 31, 32])), 3), (Newest(), 4), (Popular(), 2)]
    found = found_by(sources, StubReads())
    assert found == [30, 0, 31, 39, 38, 37, 36, 1, 2, 3, 4, 5]


def test_a_source_with_no_share_is_not_asked() -> None:
    """0 turns it off."""
    source = Found([1])
    found_by([(retriever(source), 0)], StubReads())
    assert not source.asked


def test_without_a_retriever_or_with_a_failing_one_the_others_answer() -> None:
    """A retriever that fails five times in a row is left alone."""
    assert found_by([(retriever(None), 5)], StubReads()) == list(range(12))
    failing = Found([], fails=True)
    source = retriever(failing)
    for _ in range(8):
        assert found_by([(source, 5)], StubReads()) == list(range(12))
    assert failing.asked == 5


def test_items_that_nobody_published_are_passed_over() -> None:
    """A retriever may know items that are gone."""
    assert found_by([(retriever(Found([777, 5])), 5)], StubReads())[0] == 5


def test_topics_give_as_many_items_as_they_are_liked() -> None:
    """A topic that is liked three times as much as another gives three times as many, the most popular first."""
    reads = StubReads(liked={2: 3.0, 1: 1.0})
    assert found_by([(Topics(reads), 8)], reads)[:8] == [2, 6, 10, 14, 18, 22, 1, 5]  # type: ignore[arg-type]
    nobody = StubReads(liked={})
    assert found_by([(Topics(nobody), 8)], nobody) == list(range(12))  # type: ignore[arg-type]


def test_a_pin_finds_an_item_that_nothing_else_would() -> None:
    """A few popular items of the pinned value are candidates, whatever the other sources give."""
    rule = PinRule(kind="pin", attribute="tags", values=("round",), position=1)
    assert found_by([(Pinned([rule]), 1), (Newest(), 40)], StubReads())[:5] == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(("seen", "rest"), [("last", [0, 1, 2]), ("remove", []), ("keep", None)])
def test_what_was_seen_is_last_or_gone_or_as_others(seen: str, rest: list[int] | None) -> None:
    """Where new items are enough none is shown again; where they are not, it depends."""
    reads = StubReads(seen=[0, 1, 2])
    assert found_by([], reads, seen=seen)[:3] == ([3, 4, 5] if rest is not None else [0, 1, 2])
    few = found_by([], reads, count=8, seen=seen)
    assert few == ([3, 4, 5, 6, 7, *rest] if rest is not None else list(range(8)))
    assert reads.asked == (0 if seen == "keep" else reads.asked)


def test_who_has_seen_what_is_popular_gets_what_is_further_down() -> None:
    """It looks further while too much was seen, and not for ever."""
    reads = StubReads(seen=range(30))
    assert found_by([], reads, count=200)[:10] == list(range(30, 40))
    assert reads.asked == 3
    everything = StubReads(seen=range(10_000))
    assert len(found_by([], everything, count=10_000)) == 12
    assert everything.asked <= 3


@given(
    st.integers(0, 60),
    st.sets(st.integers(0, 59)),
    st.sets(st.integers(0, 59)),
    st.lists(st.integers(0, 70), max_size=20),
    st.sampled_from(["last", "remove", "keep"]),
)
def test_candidates_are_shown_at_most_once_and_only_if_they_may(
    count: int, seen: set[int], hidden: set[int], retrieved: list[int], policy: str
) -> None:
    """For any items: none twice, none hidden, flags say what was seen, none that was seen where that is not wanted."""
    items = made_items(count, hidden=sorted(item for item in hidden if item < count))
    reads = StubReads(seen=sorted(seen))
    config = FeedConfig.model_validate({"candidates": 25, "session_items": 10, "seen": policy})
    sources: list[tuple[Source, int]] = [(retriever(Found(retrieved)), 10), (Newest(), 5)]
    row_C, seen_C = Retrieval(sources, reads, config).candidates(items, asker())  # type: ignore[arg-type]
    ids = [int(item) for item in items.ids(row_C)]
    assert len(set(ids)) == len(ids) <= 25
    assert not set(ids) & hidden
    if policy != "keep":
        assert seen_C.tolist() == [item in seen for item in ids]
    if policy == "remove":
        assert not set(ids) & seen
    if policy == "last":
        assert len(ids) == min(25, count - len({item for item in hidden if item < count}))
