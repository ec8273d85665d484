"""What counts: each reward once, for its choice, in its time; the same whoever reads, and wherever a restart cut."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.delivery.bandits.logged import choice, rewards, traffic

from orita.delivery.bandits import (
    UCB1,
    Bandit,
    BernoulliThompson,
    Discount,
    EpsilonGreedy,
    GaussianThompson,
    HalfLife,
    LinearThompson,
    LinUCB,
    PerUpdate,
)
from orita.delivery.bandits.declarations import BanditDeclaration
from orita.delivery.bandits.ledger import ArmCounts, Ledger, LedgerState, read_ledger
from orita.delivery.bandits.records import Record

PLAIN = BanditDeclaration(key="t", policy=BernoulliThompson(), arms=("a", "b", "c"), wait_seconds=100)
LINEAR = BanditDeclaration(
    key="l", policy=LinearThompson(2), arms=("a", "b", "c"), features=("x", "y"), wait_seconds=100
)
SECOND = 1_000_000


@dataclass
class Folded:
    """A ledger, and the time of its log."""

    ledger: Ledger
    at: int = 0

    def take(self, *records: Record, after: float = 0.0) -> Folded:
        """Take in records, some seconds later."""
        self.at += int(after * SECOND)
        self.ledger.fold([(self.at, record) for record in records])
        return self

    def seen(self, arm: str) -> tuple[int, int, float]:
        """Return what came of an arm."""
        counts = self.ledger.arms.get(arm, ArmCounts())
        return counts.picked, counts.rewarded, counts.total


def test_a_reward_counts_once() -> None:
    """By position or by name, told again by whom ever: the first counts, the others are counted as ignored."""
    folded, made = Folded(Ledger(PLAIN)), choice(PLAIN, "b", "a")
    folded.take(made, rewards(made, [1.0]), rewards(made, [0.0]), rewards(made, [0.0], ["b"]))
    folded.take(rewards(made, [1.0, 0.5], ["b", "a"]))
    assert (folded.seen("a"), folded.seen("b"), folded.seen("c")) == ((1, 1, 0.5), (1, 1, 1.0), (0, 0, 0.0))
    assert folded.ledger.ignored == {"again": 3}
    expected = Bandit(PLAIN.policy, PLAIN.arms, remembered=0)
    expected.update_many(["b", "a"], [1.0, 0.5])
    np.testing.assert_array_equal(folded.ledger.bandit.probabilities().values, expected.probabilities().values)


def test_what_does_not_belong_is_ignored() -> None:
    """No such choice, an arm that was not chosen, a position too many, a value that the policy does not take."""
    folded, made = Folded(Ledger(PLAIN)), choice(PLAIN, "b")
    folded.take(rewards(made, [1.0]), made, rewards(made, [1.0], ["a"]), rewards(made, [2.0]), rewards(made, [0, 1]))
    assert folded.ledger.ignored == {"no_open_choice": 1, "not_of_the_choice": 2, "out_of_range": 1}
    assert folded.seen("b") == (1, 1, 0.0)


def test_a_choice_closes_in_its_time() -> None:
    """A reward counts up to wait_seconds after the choice by the times of the log, and not after."""
    folded, first, second = Folded(Ledger(PLAIN)), choice(PLAIN, "a"), choice(PLAIN, "a")
    folded.take(first).take(second, after=50).take(rewards(first, [1.0]), after=50)
    assert folded.seen("a") == (2, 1, 1.0)
    folded.take(rewards(second, [1.0]), after=50.1)
    assert folded.seen("a") == (2, 1, 1.0)
    assert folded.ledger.ignored == {"no_open_choice": 1}
    assert not folded.ledger.open


def test_clicks_and_silence_count_together_when_the_choice_closes() -> None:
    """Where only clicks are told, silence is a reward of 0 for each arm without one; a click counts no sooner."""
    declared = msgspec.structs.replace(PLAIN, unrewarded=0.0)
    folded, made = Folded(Ledger(declared)), choice(declared, "a", "b")
    folded.take(made, rewards(made, [1.0])).take(rewards(made, [0.0], ["a"]), choice(declared, "c"), after=99)
    assert (folded.seen("a"), folded.seen("b"), len(folded.ledger.open)) == ((1, 0, 0.0), (1, 0, 0.0), 2)
    assert folded.ledger.ignored == {"again": 1}
    folded.take(choice(declared, "c"), after=2)
    assert (folded.seen("a"), folded.seen("b")) == ((1, 1, 1.0), (1, 1, 0.0))
    weights = folded.ledger.bandit.statistics.sums()["weight"]
    assert weights.tolist() == [1, 1, 0]


def test_what_was_picked_of_late_seems_no_better() -> None:
    """Of clicks alone, told within seconds: at any time an arm's mean is that of a sample of its choices.

    By hand: 4,000 choices, a click at a rate of 0.05. Were clicks counted before silence, the first look within the
    wait would find a mean of 1, and one later 0.05 × 4,000 ÷ (0.05 × 4,000 + 0.95 × 3,000) = 0.066.
    """
    declared = msgspec.structs.replace(PLAIN, unrewarded=0.0, wait_seconds=1_000)
    folded, rng, seen = Folded(Ledger(declared)), np.random.default_rng(0), []
    for number in range(4_000):
        made = choice(declared, "a")
        told = [rewards(made, [1.0])] if rng.random() < 0.05 else []
        folded.take(made, *told, after=1)
        if number % 100 == 99:
            seen.append(folded.seen("a")[1:])
    assert seen[8] == (0, 0.0)
    counted, total = seen[-1]
    assert counted == 4_000 - 1_001
    assert total / counted == pytest.approx(0.05, abs=4 * (0.05 * 0.95 / counted) ** 0.5)


def test_as_many_choices_wait_as_may() -> None:
    """One more closes the oldest, as time would, and that is counted: memory is bounded."""
    declared = msgspec.structs.replace(PLAIN, most_open=3, unrewarded=0.0)
    made = [choice(declared, "a") for _ in range(5)]
    folded = Folded(Ledger(declared)).take(made[0], rewards(made[0], [1.0]), *made[1:])
    assert list(folded.ledger.open) == [each.decision for each in made[2:]]
    assert folded.seen("a") == (5, 2, 1.0)
    assert folded.ledger.choices.early == 2
    assert folded.ledger.state().early == 2


def test_a_choice_with_all_its_rewards_holds_no_place() -> None:
    """What can learn nothing more makes no other choice close; one with a part of its rewards waits on."""
    declared = msgspec.structs.replace(PLAIN, most_open=2)
    folded, slate = Folded(Ledger(declared)), choice(declared, "a", "b")
    folded.take(slate, rewards(slate, [1.0]))
    for _ in range(5):
        made = choice(declared, "c")
        folded.take(made, rewards(made, [1.0]))
    folded.take(rewards(slate, [1.0], ["b"]))
    assert (folded.seen("a"), folded.seen("b"), folded.seen("c")) == ((1, 1, 1.0), (1, 1, 1.0), (5, 5, 5.0))
    assert (folded.ledger.choices.early, folded.ledger.ignored, folded.ledger.open) == (0, {}, {})


@pytest.mark.parametrize("value", [1e200, 1e12, float("nan")])
def test_an_extreme_context_teaches_nothing(value: float) -> None:
    """As logs of before have it: neither its reward nor its silence counts, and the better arm is found."""
    declared = msgspec.structs.replace(LINEAR, unrewarded=0.0, wait_seconds=1)
    folded, rng = Folded(Ledger(declared)), np.random.default_rng(0)
    for arm in "abc":
        made = choice(declared, arm, context=[value, 1.0])
        folded.take(made, rewards(made, [0.0]))
    for _ in range(100):
        made = choice(declared, "abc"[rng.integers(3)], context=[1.0, float(rng.integers(2))])
        folded.take(made, rewards(made, [float(made.arms == ["a"])]), after=2)
    assert folded.ledger.ignored == {"context_out_of_range": 6}
    assert folded.ledger.bandit.probabilities(np.array([1.0, 0.0])).values[0] > 0.99


def test_a_crowd_of_large_contexts_stops_nothing() -> None:
    """40,000 contexts of [1e6, 1e6] make sums beside which the ridge is lost in rounding; by hand, learning goes on.

    Of arm a the coefficients are then ±0.01, known well; of the others 0 ± √½ at [1, 0]. So a is best with Φ(−0.0141)².
    """
    folded = Folded(Ledger(LINEAR))
    statistics = folded.ledger.bandit.statistics
    statistics.load({"gram": np.full((3, 2, 2), 4e16), "moment": np.zeros((3, 2))})
    made = choice(LINEAR, "a", context=[0.0, 100.0])
    folded.take(made, rewards(made, [1.0]))
    values = folded.ledger.bandit.probabilities(np.array([1.0, 0.0])).values
    assert values.sum() == pytest.approx(1)
    assert values[0] == pytest.approx(0.4944**2, abs=1e-3)


def test_contexts_as_large_as_may_be_are_learnt_of() -> None:
    """Features of a million for each arm do not keep the better one from being found."""
    folded, rng = Folded(Ledger(LINEAR)), np.random.default_rng(0)
    for arm in "abc":
        made = choice(LINEAR, arm, context=[1e6, 1.0])
        folded.take(made, rewards(made, [0.0]))
    for _ in range(300):
        made = choice(LINEAR, "abc"[rng.integers(3)], context=[0.0, 1.0])
        folded.take(made, rewards(made, [float(made.arms == ["a"])]))
    assert folded.ledger.bandit.probabilities(np.array([0.0, 1.0])).values[0] > 0.99


def test_choices_of_another_way_of_learning_are_passed_over() -> None:
    """What was chosen under other features or another discount teaches nothing."""
    other = msgspec.structs.replace(PLAIN, discount=HalfLife(5))
    made = choice(other, "a")
    folded = Folded(Ledger(PLAIN)).take(made, rewards(made, [1.0]))
    assert folded.seen("a") == (0, 0, 0.0)


def test_an_arm_that_was_taken_out_comes_back_with_what_it_learnt() -> None:
    """Late feedback counts meanwhile; it is not picked, and afterwards it is."""
    few = msgspec.structs.replace(PLAIN, arms=("b", "c"))
    folded, made = Folded(Ledger(PLAIN)), choice(PLAIN, "a")
    folded.take(made)
    folded.ledger.declare(few)
    assert folded.ledger.bandit.arms == ("b", "c")
    folded.take(rewards(made, [1.0]))
    fresh = Folded(Ledger(few)).take(made, rewards(made, [1.0]))
    for each in (folded, fresh):
        each.ledger.declare(PLAIN)
        places = {arm: place for place, arm in enumerate(each.ledger.bandit.arms)}
        best = each.ledger.bandit.probabilities().values[places["a"]]
        assert best == pytest.approx(0.5, abs=1e-6)  # Beta(2, 1) against two uniform: ∫ 2 p · p² dp


def test_another_policy_of_the_same_sums_knows_the_same() -> None:
    """A prior may be changed, or ε-greedy be replaced by UCB1, without beginning anew."""
    greedy = msgspec.structs.replace(PLAIN, policy=EpsilonGreedy(0.1))
    folded = Folded(Ledger(greedy)).take(*traffic(greedy, 50, 1))
    before = folded.ledger.bandit.statistics.sums()
    folded.ledger.declare(msgspec.structs.replace(greedy, policy=UCB1()))
    assert isinstance(folded.ledger.bandit.policy, UCB1)
    for name, sums in folded.ledger.bandit.statistics.sums().items():
        np.testing.assert_array_equal(sums, before[name])


@pytest.mark.parametrize(
    "declared",
    [
        PLAIN,
        msgspec.structs.replace(PLAIN, discount=PerUpdate(0.97), unrewarded=0.0, most_open=30),
        msgspec.structs.replace(PLAIN, discount=HalfLife(50.0), policy=GaussianThompson(mean=0.5)),
        LINEAR,
        msgspec.structs.replace(LINEAR, policy=LinUCB(2), discount=PerUpdate(0.97), unrewarded=0.1),
    ],
    ids=["plain", "factor", "half_life", "linear", "linear_factor"],
)
@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 200), max_size=5), seed=st.integers(0, 3))
def test_wherever_it_is_cut_the_same_comes_out(declared: BanditDeclaration, cuts: list[int], seed: int) -> None:
    """Read at once, or in pieces with a restart between them: counts are equal, sums but for rounding."""
    records = [(int(place * 1.3 * SECOND), record) for place, record in enumerate(traffic(declared, 80, seed))]
    whole, pieces = Ledger(declared), Ledger(declared)
    whole.fold(records)
    edges = [0, *sorted(cut % len(records) for cut in cuts), len(records)]
    for first, last in pairwise(edges):
        pieces.fold(records[first:last])
        written = msgspec.msgpack.decode(msgspec.msgpack.encode(pieces.state()), type=LedgerState)
        found = read_ledger(declared, written)
        assert found is not None
        pieces = found
    one, other = whole.state(), pieces.state()
    assert (one.open, one.ignored) == (other.open, other.ignored)
    assert {arm: (c.picked, c.rewarded) for arm, c in one.arms.items()} == {
        arm: (c.picked, c.rewarded) for arm, c in other.arms.items()
    }
    for name, sums in whole.bandit.statistics.sums().items():
        np.testing.assert_allclose(pieces.bandit.statistics.sums()[name], sums, rtol=1e-9, atol=1e-9)


def test_a_state_of_another_declaration_is_not_taken() -> None:
    """Nor one that is damaged: the log is read instead."""
    state = Folded(Ledger(PLAIN)).take(*traffic(PLAIN, 5, 1)).ledger.state()
    assert read_ledger(PLAIN, state) is not None
    assert read_ledger(msgspec.structs.replace(PLAIN, wait_seconds=5), state) is None
    state.bandit = b"no bandit"
    assert read_ledger(PLAIN, state) is None


def test_the_discount_is_by_the_time_of_the_choice() -> None:
    """By hand, half-life 10 s: a reward of a choice 10 s before the latest counts half, however late it came."""
    discount: Discount = HalfLife(10.0)
    declared = msgspec.structs.replace(PLAIN, discount=discount)
    first, second = choice(declared, "a"), choice(declared, "b")
    folded = Folded(Ledger(declared)).take(first).take(second, after=10)
    folded.take(rewards(second, [1.0]), after=20).take(rewards(first, [1.0]), after=20)
    assert folded.ledger.bandit.statistics.sums()["weight"].tolist() == pytest.approx([0.5, 1, 0])
