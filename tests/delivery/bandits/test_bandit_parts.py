"""Parts of a bandit: picks among some arms, another policy over the same sums, a copy that goes on by itself."""

from __future__ import annotations

import numpy as np
import pytest

from orita.core.errors import NotFound, UserError
from orita.delivery.bandits import (
    UCB1,
    Bandit,
    BernoulliThompson,
    EpsilonGreedy,
    GaussianThompson,
    LinearThompson,
    LinUCB,
)


def test_a_slate_among_some_is_that_of_a_bandit_that_has_no_others() -> None:
    """Arms that are not offered change nothing: order, propensities and errors are those without them."""
    rng = np.random.default_rng(2)
    for policy, context in ((BernoulliThompson(), None), (LinearThompson(2), [0.3, 1.0]), (EpsilonGreedy(0.3), None)):
        whole, part = Bandit(policy, "abcd"), Bandit(policy, "db")
        arms, contexts = rng.choice(list("bd"), 30).tolist(), None if context is None else rng.random((30, 2))
        rewards = rng.random(30)
        for each in (whole, part):
            each.update_many(arms, rewards, contexts)
        found = whole.slate(2, np.random.default_rng(1), context, among=["d", "b"])
        expected = part.slate(2, np.random.default_rng(1), context)
        assert found.arms == expected.arms
        np.testing.assert_allclose(found.propensities_K, expected.propensities_K, rtol=1e-9)


def test_a_shared_model_has_a_row_for_each_arm_that_is_offered() -> None:
    """The context's rows are those of the arms offered, in their order."""
    bandit, rng = Bandit(LinUCB(1, alpha=0, shared=True), "abc"), np.random.default_rng(0)
    bandit.update("a", 1.0, [1.0])
    assert bandit.slate(2, rng, [[0.5], [2.0]], among=["c", "b"]).arms == ("b", "c")
    with pytest.raises(UserError, match=r"shape \(3, 1\)"):
        bandit.slate(1, rng, [[1], [2], [3]], among=["c", "b"])


def test_what_cannot_be_offered_is_refused() -> None:
    """Unknown and retired arms, arms twice, more positions than arms."""
    bandit, rng = Bandit(BernoulliThompson(), "abc"), np.random.default_rng(0)
    bandit.retire_arms("c")
    for among, k, kind, sentence in (
        (["x"], 1, NotFound, "'x'"),
        (["c"], 1, UserError, "'c' is retired"),
        (["a", "a"], 1, UserError, "distinct"),
        (["a"], 2, UserError, "k 2: must be 1 to 1"),
        ([], 1, UserError, "k 1: must be 1 to 0"),
    ):
        with pytest.raises(kind, match=sentence):
            bandit.slate(k, rng, among=among)


def test_another_policy_needs_the_same_sums() -> None:
    """Arms' sums serve all policies without features about one mean; others are refused."""
    bandit = Bandit(EpsilonGreedy(), "ab")
    bandit.update("a", 1.0)
    assert bandit.with_policy(UCB1()).pick(np.random.default_rng(0)) == "b"  # nobody knows it yet
    for policy in (LinUCB(2), GaussianThompson(mean=1)):
        with pytest.raises(UserError, match="other sums"):
            bandit.with_policy(policy)
    linear = Bandit(LinUCB(2), "ab")
    assert isinstance(linear.with_policy(LinearThompson(2, ridge=3)).policy, LinearThompson)
    for other in (LinUCB(3), LinUCB(2, shared=True), UCB1()):
        with pytest.raises(UserError, match="other sums"):
            linear.with_policy(other)


def test_a_copy_goes_on_by_itself() -> None:
    """What one learns the other does not, its memory of decisions included."""
    bandit = Bandit(BernoulliThompson(), "ab")
    bandit.update("a", 1.0, decision="1")
    copy = bandit.copy()
    assert copy.update("a", 1.0, decision="2")
    assert not copy.update("a", 1.0, decision="1")
    assert bandit.update("a", 1.0, decision="2")
    assert copy.statistics.sums()["weight"].tolist() == [2, 0]
