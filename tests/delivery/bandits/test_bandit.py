"""A bandit learns the same whatever way feedback comes, survives restarts, and merges with its replicas."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orita.core.errors import NotFound, UserError
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
    Policy,
    StudentThompson,
    bandit,
    simulation,
    swaps,
)

D = 3
POLICIES: dict[str, Policy] = {
    "epsilon": EpsilonGreedy(0.2),
    "ucb1": UCB1(),
    "bernoulli": BernoulliThompson(),
    "gaussian": GaussianThompson(mean=0.5),
    "student": StudentThompson(mean=0.5),
    "lin_ucb": LinUCB(D),
    "lin_ucb_shared": LinUCB(D, shared=True),
    "lin_thompson": LinearThompson(D),
    "lin_thompson_shared": LinearThompson(D, shared=True),
}
DISCOUNTS: dict[str, Discount | None] = {"none": None, "factor": PerUpdate(0.97), "half_life": HalfLife(40.0)}
ARMS = ("a", "b", "c")
every_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
every_discount = pytest.mark.parametrize("discount", DISCOUNTS.values(), ids=DISCOUNTS)


def feedback(policy: Policy, count: int, seed: int = 0) -> dict[str, Any]:
    """Return the arguments of ``update_many``."""
    rng = np.random.default_rng(seed)
    linear = isinstance(policy, LinUCB | LinearThompson)
    return {
        "arms": [ARMS[arm] for arm in rng.integers(0, 3, count)],
        "rewards": rng.random(count),
        "contexts": rng.standard_normal((count, D)) if linear else None,
        "decisions": [f"{seed}-{row}" for row in range(count)],
        "at": 1000 + rng.integers(0, 200, count).astype(float),
    }


def told(rows: dict[str, Any], wanted: Any) -> dict[str, Any]:
    """Return some rows of feedback."""
    picked = np.arange(len(rows["arms"]))[wanted].tolist()
    lists = {name: [rows[name][row] for row in picked] for name in ("arms", "decisions")}
    return lists | {name: None if rows[name] is None else rows[name][picked] for name in ("rewards", "contexts", "at")}


def sums_of(learnt: Bandit) -> dict[str, Any]:
    """Return what was learnt."""
    return {**learnt.statistics.sums(), "clock": np.array(learnt.clock)}


def assert_alike(one: Bandit, other: Bandit) -> None:
    """Both learnt the same, rounding apart."""
    assert one.arms == other.arms
    for name, found in sums_of(one).items():
        np.testing.assert_allclose(found, sums_of(other)[name], rtol=1e-9, atol=1e-9)


def context_of(learnt: Bandit, seed: int = 5) -> Any:
    """Return a context that fits."""
    if not isinstance(learnt.policy, LinUCB | LinearThompson):
        return None
    x = np.random.default_rng(seed).standard_normal((len(learnt.arms), D))
    return x if learnt.policy.shared else x[0]


@every_policy
@every_discount
def test_feedback_at_once_is_feedback_one_by_one(policy: Policy, discount: Discount | None) -> None:
    """A batch teaches what its rows teach in their order, to picks as well."""
    rows = feedback(policy, 40)
    once, single = (Bandit(policy, ARMS, discount=discount) for _ in range(2))
    assert once.update_many(**rows) == 40
    for row in range(40):
        one: dict[str, Any] = {name: None if values is None else values[row] for name, values in rows.items()}
        assert single.update(one["arms"], one["rewards"], one["contexts"], decision=one["decisions"], at=one["at"])
    assert_alike(once, single)
    values = [b.probabilities(context_of(b), rng=np.random.default_rng(1)).values for b in (once, single)]
    ridge_faded = 0.05 if discount and isinstance(policy, LinUCB | LinearThompson) else 1e-6
    np.testing.assert_allclose(values[0], values[1], atol=ridge_faded)


@every_policy
@pytest.mark.parametrize("discount", [None, HalfLife(40.0)], ids=["none", "half_life"])
def test_the_order_of_arrival_does_not_matter(policy: Policy, discount: Discount | None) -> None:
    """Without forgetting, or with a half-life in time, late feedback teaches what it would have taught in time."""
    rows = feedback(policy, 40)
    straight, mixed = (Bandit(policy, ARMS, discount=discount) for _ in range(2))
    straight.update_many(**rows)
    order = np.random.default_rng(2).permutation(40)
    for part in np.split(order, [1, 2, 20]):
        mixed.update_many(**told(rows, part))
    assert_alike(straight, mixed)


@every_policy
@every_discount
def test_replicas_merge_to_what_one_would_know(policy: Policy, discount: Discount | None) -> None:
    """Two and three replicas that went on from a base merge in any order; what they know adds."""
    base = Bandit(policy, ARMS, discount=discount)
    base.update_many(**feedback(policy, 30, seed=1))
    content = base.to_bytes()
    first, second, third = (Bandit.from_bytes(content) for _ in range(3))
    parts = [feedback(policy, count, seed=count) for count in (11, 12, 13)]
    for replica, rows in zip((first, second, third), parts, strict=True):
        replica.update_many(**rows)
    whole = Bandit.from_bytes(content)
    for rows in parts:
        whole.update_many(**rows)
    together = first.merge(second, base=base).merge(third, base=base)
    assert_alike(together, third.merge(second.merge(first, base=base), base=base))
    assert_alike(first.merge(second, base=base), second.merge(first, base=base))
    assert_alike(base.merge(first, base=base), first)
    if not isinstance(discount, PerUpdate):
        assert_alike(together, whole)
    assert together.clock == whole.clock
    assert together.update_many(**parts[0]) == 0  # its decisions are known
    empty = Bandit(policy, ARMS, discount=discount)
    if not isinstance(discount, PerUpdate):
        assert_alike(empty.merge(first), first)


def test_merged_factors_keep_the_age_of_news_and_age_the_base_by_both() -> None:
    """By hand, factor ½: base 1, then one update of 1 here and two there: 1 + (1 + ½) + 1 · ½³."""
    base = Bandit(BernoulliThompson(), ["a"], discount=PerUpdate(0.5))
    base.update("a", 1.0)
    here, there = Bandit.from_bytes(base.to_bytes()), Bandit.from_bytes(base.to_bytes())
    here.update("a", 1.0)
    there.update_many(["a", "a"], [1.0, 1.0])
    assert sums_of(here.merge(there, base=base))["sum"].tolist() == [1 + 1.5 + 0.125]


@every_policy
@every_discount
def test_bytes_restore_all(policy: Policy, discount: Discount | None) -> None:
    """What was written is read: sums, clock, arms, retired ones, known decisions; and it is written the same again."""
    learnt = Bandit(policy, ARMS, discount=discount, remembered=20)
    rows = feedback(policy, 30)
    learnt.update_many(**rows)
    learnt.retire_arms(["b"])
    back = Bandit.from_bytes(learnt.to_bytes())
    assert_alike(back, learnt)
    assert (back.policy, back.discount) == (learnt.policy, learnt.discount)
    assert back.retired == frozenset(["b"])
    assert back.to_bytes() == learnt.to_bytes()
    assert back.update_many(**told(rows, slice(10, None))) == 0
    assert back.update_many(**told(rows, slice(0, 10))) == 10  # forgotten: only 20 are remembered


@pytest.mark.parametrize("damage", [b"", b"no", b"\x93\x01\x02\x03"])
def test_other_bytes_are_refused(damage: bytes) -> None:
    """Bytes that are no bandit, cut ones, and those of a later format say so."""
    whole = Bandit(UCB1(), ARMS).to_bytes()
    for content in (damage, whole[:-3], whole.replace(b"\xa6format\x01", b"\xa6format\x07")):
        with pytest.raises(UserError, match="state of a bandit"):
            Bandit.from_bytes(content)


def test_feedback_of_a_decision_counts_once_an_arm() -> None:
    """The same decision on the same arm counts once, on another arm of its slate again; without an id always."""
    learnt = Bandit(BernoulliThompson(), ARMS)
    assert learnt.update("a", 1, decision="x") and not learnt.update("a", 1, decision="x")
    assert learnt.update("b", 0, decision="x")
    assert learnt.update_many(["c", "c", "a"], [1, 1, 0], decisions=["y", "y", "x"]) == 1
    assert learnt.update("a", 1) and learnt.update("a", 1)
    assert sums_of(learnt)["weight"].tolist() == [3, 1, 1]


@every_policy
def test_arms_come_and_go(policy: Policy) -> None:
    """A retired arm is not picked but learns from late feedback; it comes back with it, and new ones begin empty."""
    learnt, rng = Bandit(policy, ARMS), np.random.default_rng(0)
    rows = feedback(policy, 30)
    learnt.update_many(**rows)
    before = sums_of(learnt)
    learnt.retire_arms(["b"])
    assert list(learnt.arms) == ["a", "c"]
    assert {arm for _ in range(50) for arm in learnt.order(2, rng, context_of(learnt))} == {"a", "c"}
    assert len(learnt.probabilities(context_of(learnt), rng=rng).values) == 2
    learnt.update("b", 1.0, None if context_of(learnt) is None else np.ones(D))
    learnt.add_arms(["d", "b"])
    assert list(learnt.arms) == ["a", "b", "c", "d"]
    after = sums_of(learnt)
    name = "moment" if "moment" in after else "sum"
    if learnt.statistics.per_arm:
        assert not after[name][3].any() and (after[name][1] != before[name][1]).any()
        np.testing.assert_array_equal(after[name][[0, 2]], before[name][[0, 2]])
    assert set(learnt.order(4, rng, context_of(learnt))) == {"a", "b", "c", "d"}


@every_policy
def test_slates_have_distinct_arms_and_their_propensities(policy: Policy) -> None:
    """A slate's propensities are those of its arms; the same generator draws the same slate."""
    learnt = Bandit(policy, ARMS)
    learnt.update_many(**feedback(policy, 30))
    context = context_of(learnt)
    slate = learnt.slate(3, np.random.default_rng(4), context)
    assert learnt.order(3, np.random.default_rng(4), context) == slate.arms and set(slate.arms) == set(ARMS)
    assert slate.propensity == pytest.approx(slate.propensities_K.prod())
    if not isinstance(policy, LinearThompson):
        np.testing.assert_allclose(learnt.propensities(slate.arms, context).values, slate.propensities_K)
    first = learnt.probabilities(context, rng=np.random.default_rng(6)).values[ARMS.index(str(slate.arms[0]))]
    assert first == pytest.approx(slate.propensities_K[0], abs=0.06 if getattr(policy, "shared", False) else 1e-7)


def test_what_is_wrong_is_named() -> None:
    """Errors name the field, and nothing was learnt by what was refused."""
    learnt = Bandit(BernoulliThompson(), ARMS, discount=HalfLife(5))
    linear = Bandit(LinUCB(2), ARMS)
    rng = np.random.default_rng(0)
    calls: list[tuple[str, Any]] = [
        ("arm 'd'", lambda: learnt.update("d", 1, at=0)),
        ("reward 2", lambda: learnt.update("a", 2, at=0)),
        ("at None", lambda: learnt.update("a", 1, decision="x")),
        ("at None", lambda: learnt.update_many(["a"], [1], decisions=["x"])),
        ("decisions: 2", lambda: learnt.update_many(["a"], [1], decisions=["x", "y"], at=[1])),
        ("rewards: shape", lambda: learnt.update_many(["a"], [1, 0], at=[1])),
        ("rewards: must", lambda: learnt.update_many(["a"], [float("nan")], at=[1])),
        ("context: Bernoulli", lambda: learnt.pick(rng, [1.0, 2.0])),
        ("context: shape", lambda: linear.pick(rng)),
        ("context: shape", lambda: linear.update("a", 1.0, [1.0, 2.0, 3.0])),
        ("context: must be finite", lambda: linear.pick(rng, [1.0, float("nan")])),
        ("k 4", lambda: learnt.slate(4, rng)),
        ("slate", lambda: learnt.propensities(["a", "a"])),
        ("arm 'a': is there already", lambda: learnt.add_arms(["d", "a"])),
        ("arm 'd': is there already", lambda: learnt.add_arms(["d", "d"])),
        ("arm 'z' is not one", lambda: learnt.retire_arms(["a", "z"])),
        ("none may be picked", lambda: Bandit(UCB1(), []).pick(rng)),
        ("policy: replicas", lambda: learnt.merge(Bandit(UCB1(), ARMS))),
        ("discount: replicas", lambda: learnt.merge(Bandit(BernoulliThompson(), ARMS))),
        ("remembered -1", lambda: Bandit(UCB1(), ARMS, remembered=-1)),
        ("epsilon 2", lambda: EpsilonGreedy(2)),
        ("successes 0", lambda: BernoulliThompson(0)),
        ("half-life 0", lambda: HalfLife(0)),
        ("factor 0", lambda: PerUpdate(0)),
        ("ridge 0", lambda: LinUCB(2, ridge=0)),
        ("scale 0", lambda: LinearThompson(2, scale=0)),
    ]
    for said, call in calls:
        with pytest.raises(UserError, match=said):
            call()
    assert learnt.arms == ARMS and not learnt.retired
    assert not sums_of(learnt)["weight"].any() and learnt.update("a", 1, decision="x", at=1.0)
    with pytest.raises(NotFound):
        learnt.retire_arms(["z"])


@pytest.mark.parametrize("module", [bandit, swaps, simulation])
def test_examples_run(module: Any) -> None:
    """What docstrings show is so."""
    assert doctest.testmod(module).failed == 0


@given(st.lists(st.tuples(st.sampled_from(ARMS), st.integers(0, 9)), max_size=60), st.integers(0, 20))
@settings(max_examples=50, deadline=None)
def test_the_memory_of_decisions_is_bounded_and_first_in_first_out(rows: list[tuple[str, int]], kept: int) -> None:
    """Against a plain list: the latest so many are known, others count again."""
    learnt, known = Bandit(UCB1(), ARMS, remembered=kept), list[tuple[str, int]]()
    for arm, number in rows:
        assert learnt.update(arm, 1.0, decision=str(number)) == ((arm, number) not in known)
        if (arm, number) not in known:
            known = ([*known, (arm, number)])[-kept:] if kept else []
        assert len(learnt.decisions) == len(known)
