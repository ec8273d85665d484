"""The order of a feed: what caps, pins, seen items and diversity do to it, for any candidates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orita.serving.feed.arranging import Arranger
from orita.serving.feed.caps import Cap, Caps
from orita.serving.feed.config import DiversityConfig
from orita.serving.feed.diversity import Determinantal, MarginalRelevance, diversity_of

VALUES = 4


@dataclass
class Case:
    """Candidates and rules: scores, topics, which were seen, one cap and one pin."""

    value_C: npt.NDArray[np.float32]
    topic_C: npt.NDArray[np.intp]
    seen_C: npt.NDArray[np.bool_]
    count: int
    most: int
    window: int
    pin: tuple[int, int]
    method: str
    near: int = 3

    @property
    def flags(self) -> npt.NDArray[np.float32]:
        """One flag a candidate."""
        return np.eye(VALUES, dtype=np.float32)[self.topic_C]

    def arranged(self, *, cap: bool = True, pin: bool = True) -> list[int]:
        """Return the order."""
        config = DiversityConfig(method=self.method, strength=0.3, window=self.near)
        caps = Caps([Cap(self.flags, self.most, self.window)]) if cap else None
        pins = {self.pin[0]: self.topic_C == self.pin[1]} if pin else {}
        diversity = diversity_of(config, self.flags)
        strength = 0.0 if diversity is None else config.strength
        arranger = Arranger(self.seen_C, caps, pins, diversity, strength)
        return [int(place) for place in arranger.order(self.value_C, self.count)]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a case of up to 30 candidates; scores repeat, and may all be 0."""
    size = draw(st.integers(0, 30))
    window = draw(st.integers(2, 6))
    return Case(
        np.array(draw(st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.9]), min_size=size, max_size=size)), np.float32),
        np.array(draw(st.lists(st.integers(0, VALUES - 1), min_size=size, max_size=size)), np.intp),
        np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)), np.bool_),
        draw(st.integers(1, 40)),
        draw(st.integers(1, window - 1)),
        window,
        (draw(st.integers(0, 5)), draw(st.integers(0, VALUES - 1))),
        draw(st.sampled_from(["mmr", "dpp", "off"])),
    )


@settings(max_examples=60)
@given(cases())
def test_candidates_are_shown_once_and_as_many_as_asked(case: Case) -> None:
    """Whatever the rules, an order has as many candidates as were asked for, or all, and none twice."""
    order = case.arranged()
    assert len(order) == min(case.count, len(case.value_C))
    assert len(set(order)) == len(order)
    assert set(order) <= set(range(len(case.value_C)))


@settings(max_examples=60)
@given(cases())
def test_a_cap_holds_wherever_anything_else_is_left(case: Case) -> None:
    """A window has one too many of a value only where every candidate that could stand there is one too many."""
    order = case.arranged(pin=False)
    for place, chosen in enumerate(order):
        before = order[max(0, place - case.window + 1) : place]
        full = {v for v in range(VALUES) if sum(case.topic_C[c] == v for c in before) >= case.most}
        if case.topic_C[chosen] in full:
            left = [c for c in range(len(case.value_C)) if c not in order[:place]]
            tier = [c for c in left if not case.seen_C[c]] or left
            assert all(case.topic_C[c] in full for c in tier)


@settings(max_examples=60)
@given(cases())
def test_a_pin_holds_while_there_is_one(case: Case) -> None:
    """The pinned position has an item of the value, whatever caps say, unless none is left."""
    order = case.arranged()
    place, value = case.pin
    if place < len(order):
        left = [c for c in range(len(case.value_C)) if c not in order[:place]]
        assert case.topic_C[order[place]] == value or all(case.topic_C[c] != value for c in left)


@settings(max_examples=60)
@given(cases())
def test_what_was_seen_comes_last(case: Case) -> None:
    """Without pins no seen candidate comes before one that is new."""
    seen = [bool(case.seen_C[c]) for c in case.arranged(pin=False)]
    assert seen == sorted(seen)
    if True in seen:
        assert seen.count(False) == np.count_nonzero(~case.seen_C)


@settings(max_examples=60)
@given(cases())
def test_without_rules_the_order_is_that_of_the_values(case: Case) -> None:
    """Equal values keep the order of the candidates."""
    plain = Arranger(np.zeros(len(case.value_C), np.bool_)).order(case.value_C, case.count).tolist()
    assert plain == sorted(range(len(case.value_C)), key=lambda c: -case.value_C[c])[: case.count]


def vectors(rows: int, seed: int) -> npt.NDArray[np.float32]:
    """Return random vectors of length 1 without negative numbers."""
    drawn = np.random.default_rng(seed).random((rows, 5)).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 50))
def test_marginal_relevance_is_the_greatest_likeness_in_the_window(shown: int, window: int, seed: int) -> None:
    """Novelty is minus the greatest product with one of the last items shown, and 0 before the first."""
    vector_CE = vectors(15, seed)
    diversity = MarginalRelevance(vector_CE, window)
    np.testing.assert_array_equal(diversity.novelty(), 0)
    for candidate in range(shown):
        diversity.show(candidate)
    last = vector_CE[max(0, shown - window) : shown]
    np.testing.assert_allclose(diversity.novelty(), -(vector_CE @ last.T).max(axis=1), rtol=1e-5)


@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 50))
def test_determinantal_novelty_is_what_an_item_adds_to_the_determinant(shown: int, window: int, seed: int) -> None:
    """Novelty is log det of the kernel of the window with the item, less that without it."""
    vector_CE = vectors(15, seed)
    diversity = Determinantal(vector_CE, window)
    for candidate in range(shown):
        diversity.show(candidate)
    kernel_CC = 0.9 * (vector_CE @ vector_CE.T).astype(np.float64)
    np.fill_diagonal(kernel_CC, 1)
    last = list(range(max(0, shown - window), shown))
    novelty_C = diversity.novelty()
    for candidate in range(shown, 15):
        several = [*last, candidate]
        added = np.linalg.slogdet(kernel_CC[np.ix_(several, several)])[1]
        added -= np.linalg.slogdet(kernel_CC[np.ix_(last, last)])[1]
        assert novelty_C[candidate] == pytest.approx(added, abs=1e-4)


@pytest.mark.parametrize(("method", "near"), [("mmr", 1), ("dpp", 3)])
def test_diversity_mixes_what_relevance_alone_would_not(method: str, near: int) -> None:
    """Five good items of one topic and five a little worse of another take turns; without diversity they would not."""
    value_C = np.array([0.9] * 5 + [0.85] * 5, np.float32)
    case = Case(value_C, np.repeat([0, 1], 5), np.zeros(10, np.bool_), 10, 1, 2, (0, 0), method, near)
    topics = [int(case.topic_C[c]) for c in case.arranged(cap=False, pin=False)]
    assert topics == [0, 1] * 5
    case.method = "off"
    assert case.arranged(cap=False, pin=False) == list(range(10))


def test_a_cap_of_several_values_counts_each() -> None:
    """Of an item with two values either may be one too many."""
    flag_CV = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], np.float32)
    arranger = Arranger(np.zeros(4, np.bool_), Caps([Cap(flag_CV, 1, 2)]))
    assert arranger.order(np.array([4, 3, 2, 1], np.float32), 4).tolist() == [0, 3, 1, 2]
