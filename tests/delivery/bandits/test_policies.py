"""Policies follow their papers: scores by hand, regressions against a direct solve, regret by simulation."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy import stats

from orita.core.errors import UserError
from orita.delivery.bandits import (
    UCB1,
    Bandit,
    BernoulliThompson,
    EpsilonGreedy,
    GaussianThompson,
    HalfLife,
    LinearThompson,
    LinUCB,
    PerUpdate,
    Policy,
    StudentThompson,
    simulated_regret,
)
from orita.delivery.bandits.arm_statistics import ArmStatistics
from orita.delivery.bandits.linear_statistics import LinearStatistics

ALL = np.arange(2)
MEANS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)


def seen(rewards_of: list[list[float]], origin: float = 0.0) -> ArmStatistics:
    """Return sums of each arm's rewards."""
    sums = ArmStatistics(len(rewards_of), origin)
    for arm, rewards in enumerate(rewards_of):
        for reward in rewards:
            sums.add(arm, reward, None, weight=1.0, decay=1.0)
    return sums


def test_ucb1_is_the_bound_of_the_paper() -> None:
    """Mean + √(2 ln n ÷ n_a); an arm without feedback comes first."""
    scores = UCB1().belief(seen([[1, 0, 1], [0]]), ALL).scores_A
    assert scores.tolist() == pytest.approx([2 / 3 + math.sqrt(2 * math.log(4) / 3), math.sqrt(2 * math.log(4))])
    assert UCB1().belief(seen([[1], []]), ALL).scores_A[1] == math.inf


def test_epsilon_greedy_takes_the_mean_or_what_is_taken_for_it() -> None:
    """ε ÷ A for each arm, and 1 − ε more for the best; one of three tied arms has a third of that."""
    belief = EpsilonGreedy(0.3, initial=0.6).belief(seen([[1, 0], []]), ALL)
    assert belief.scores_A.tolist() == [0.5, 0.6]
    assert belief.probabilities(np.random.default_rng(0)).values.tolist() == pytest.approx([0.15, 0.85])
    tied = EpsilonGreedy(0.3).belief(seen([[], [], []]), np.arange(3))
    assert tied.conditionals([2, 0, 1], np.random.default_rng(0)).values.tolist() == pytest.approx([1 / 3, 1 / 2, 1])


def test_bernoulli_posterior_counts_successes_and_failures() -> None:
    """Beta(prior + successes, prior + failures)."""
    belief = BernoulliThompson(2, 3).belief(seen([[1, 1, 0], [0]]), ALL)
    assert (belief.a_A.tolist(), belief.b_A.tolist()) == ([4, 2], [4, 4])


def test_gaussian_posterior_weighs_prior_and_rewards_by_precision() -> None:
    """Against the product of normal densities on a grid."""
    rewards = [1.0, 2.5, 0.5]
    belief = GaussianThompson(noise=2, mean=-1, deviation=3).belief(seen([rewards, []], origin=-1), ALL)
    grid = np.linspace(-20, 20, 40_001)
    density = stats.norm.pdf(grid, -1, 3) * np.prod([stats.norm.pdf(r, grid, 2) for r in rewards], axis=0)
    mean = (grid * density).sum() / density.sum()
    assert belief.mean_A.tolist() == pytest.approx([mean, -1])
    variance = ((grid - mean) ** 2 * density).sum() / density.sum()
    assert belief.deviation_A.tolist() == pytest.approx([math.sqrt(variance), 3])


def test_student_posterior_is_that_of_the_conjugate_prior() -> None:
    """Against Murphy's recursion for κ, μ, α and β, one reward after another; also far from 0."""
    rewards, guess = [1e6 + 1.0, 1e6 + 2.5, 1e6 + 0.5], 1e6
    mean, kappa, alpha, beta = guess, 1.5, 2.0, 2.0 * 0.7
    for reward in rewards:
        beta += kappa * (reward - mean) ** 2 / (2 * (kappa + 1))
        mean, kappa, alpha = (kappa * mean + reward) / (kappa + 1), kappa + 1, alpha + 0.5
    policy = StudentThompson(mean=guess, mean_weight=1.5, variance=0.7, variance_weight=4)
    belief = policy.belief(seen([rewards, []], origin=guess), ALL)
    assert belief.mean_A[0] == pytest.approx(mean, rel=1e-12)
    assert belief.scale_A[0] == pytest.approx(math.sqrt(beta / (alpha * kappa)))
    assert belief.degrees_A.tolist() == [7, 4]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("decay", [1.0, 0.99])
def test_kept_inverses_are_those_of_a_direct_solve(shared: bool, decay: float) -> None:
    """After 5,000 updates, most without a refresh, coefficients and inverses are those of the rows, solved at once.

    With forgetting the ridge in effect is 0.95 to 1 times the one declared, so the solve is given that one.
    """
    rng = np.random.default_rng(0)
    x_ND, arms_N = rng.standard_normal((5000, 8)), rng.integers(0, 2, 5000)
    rewards_N = x_ND @ rng.standard_normal(8) + rng.standard_normal(5000)
    learnt = LinearStatistics(2, 8, ridge=2.0, shared=shared, refresh=10_000)
    for arm, reward, x_D in zip(arms_N.tolist(), rewards_N.tolist(), x_ND, strict=True):
        learnt.add(arm, reward, x_D, weight=1.0, decay=decay)
    assert 0.95 <= learnt.scale <= 1 and (learnt.scale == 1) == (decay == 1)
    weights_N = decay ** np.arange(4999, -1, -1.0)
    for model in range(1 if shared else 2):
        own_N = np.ones(5000, bool) if shared else arms_N == model
        weighed_ND = x_ND[own_N] * weights_N[own_N, None]
        precision_DD = weighed_ND.T @ x_ND[own_N] + 2.0 * learnt.scale * np.eye(8)
        np.testing.assert_allclose(
            learnt.inverse_LDD[model] / learnt.scale, np.linalg.inv(precision_DD), rtol=1e-8, atol=1e-12
        )
        theta_D = np.linalg.solve(precision_DD, rewards_N[own_N] @ weighed_ND)
        np.testing.assert_allclose(learnt.theta_LD[model], theta_D, rtol=1e-8, atol=1e-10)


def test_a_refresh_mends_what_rounding_spoilt() -> None:
    """Rows that span ten orders of magnitude spoil an inverse that is only moved; a refresh restores it."""
    rng = np.random.default_rng(1)
    scales_D = 10.0 ** np.arange(-2, 4)
    errors = []
    for refresh in (10_000, 500):
        learnt = LinearStatistics(1, 6, ridge=1e-4, shared=False, refresh=refresh)
        for _ in range(2000):
            learnt.add(0, 1.0, rng.standard_normal(6) * scales_D, weight=1.0, decay=1.0)
        precision_DD = learnt.sums()["gram"][0] + 1e-4 * np.eye(6)
        identity_DD = learnt.inverse_LDD[0] @ precision_DD
        errors.append(np.abs(identity_DD - np.eye(6)).max())
    assert errors[1] < 1e-3 * errors[0]


def test_lin_ucb_is_the_bound_of_the_paper() -> None:
    """xᵀθ + α √(xᵀ A⁻¹ x), disjoint and shared, against the formula on the rows."""
    rng = np.random.default_rng(2)
    x_ND, arms, rewards = rng.standard_normal((50, 3)), [0, 1] * 25, rng.random(50)
    disjoint, shared = Bandit(LinUCB(3, alpha=2), [0, 1]), Bandit(LinUCB(3, alpha=2, shared=True), [0, 1])
    for learnt in (disjoint, shared):
        learnt.update_many(arms, rewards, x_ND)
    x_AD = rng.standard_normal((2, 3))

    def bound(rows: slice, x_D: Any) -> float:
        inverse_DD = np.linalg.inv(np.eye(3) + x_ND[rows].T @ x_ND[rows])
        return float(x_D @ inverse_DD @ x_ND[rows].T @ rewards[rows] + 2 * math.sqrt(x_D @ inverse_DD @ x_D))

    found = disjoint.policy.belief(disjoint.statistics, ALL, x_AD[0]).scores_A  # type: ignore[union-attr,call-arg,arg-type]
    assert found.tolist() == pytest.approx([bound(slice(arm, None, 2), x_AD[0]) for arm in (0, 1)])
    found = shared.policy.belief(shared.statistics, ALL, x_AD).scores_A  # type: ignore[union-attr,call-arg,arg-type]
    assert found.tolist() == pytest.approx([bound(slice(None), x_D) for x_D in x_AD])


def test_linear_thompson_values_have_the_posteriors_moments() -> None:
    """Disjoint: N(xᵀθ, s² xᵀA⁻¹x). Shared: covariance s² X A⁻¹ Xᵀ."""
    rng = np.random.default_rng(3)
    x_ND = rng.standard_normal((40, 3))
    for shared in (False, True):
        learnt = Bandit(LinearThompson(3, scale=0.5, shared=shared), [0, 1], discount=PerUpdate(0.99))
        learnt.update_many([0, 1] * 20, rng.random(40), x_ND)
        sums, scale = learnt.statistics.sums(), learnt.statistics.scale  # type: ignore[attr-defined]
        x_AD = rng.standard_normal((2, 3))
        belief: Any = learnt.policy.belief(learnt.statistics, ALL, x_AD if shared else x_AD[0])  # type: ignore
        inverse_LDD = np.linalg.inv(sums["gram"] + scale * np.eye(3))
        theta_LD = np.einsum("lde,le->ld", inverse_LDD, sums["moment"])
        if shared:
            np.testing.assert_allclose(belief.mean_A, x_AD @ theta_LD[0])
            np.testing.assert_allclose(belief.factor_AD @ belief.factor_AD.T, 0.25 * x_AD @ inverse_LDD[0] @ x_AD.T)
        else:
            np.testing.assert_allclose(belief.mean_A, theta_LD @ x_AD[0])
            np.testing.assert_allclose(belief.deviation_A, 0.5 * np.sqrt(x_AD[0] @ inverse_LDD @ x_AD[0]))


@pytest.mark.parametrize("policy", [UCB1(0.5), LinearThompson(4, shared=True), BernoulliThompson(1, 9)])
def test_declarations_are_read_from_json_and_checked(policy: Policy) -> None:
    """A policy is written with its type and read again; a wrong key or value is refused."""
    content = msgspec.json.encode(policy)
    assert msgspec.json.decode(content, type=Policy) == policy
    for broken in ({**json.loads(content), "eps": 1}, {"type": "ucb1", "alpha": -1}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(json.dumps(broken), type=Policy)


def test_picking_needs_numpy_and_msgspec_alone() -> None:
    """Neither import nor picks nor propensities load SciPy, pandas, numba or torch."""
    code = (
        "import sys, numpy as np; from orita.delivery.bandits import *; rng = np.random.default_rng(0)\n"
        "Bandit(BernoulliThompson(), range(3)).slate(2, rng); Bandit(LinUCB(2), range(3)).slate(2, rng, [1, 2])\n"
        "assert not {'scipy', 'pandas', 'numba', 'torch', 'pydantic'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_bad_simulations_are_refused() -> None:
    """Rates are probabilities, batches at least one."""
    with pytest.raises(UserError, match="rates"):
        simulated_regret(UCB1(), [2.0, 0.1], decisions=5, runs=1)
    with pytest.raises(UserError, match="batch 0"):
        simulated_regret(UCB1(), [0.2, 0.1], decisions=5, runs=1, batch=0)


def test_learning_beats_not_learning() -> None:
    """Two arms, 0.2 and 0.8, 16 runs of 200: each policy loses less than half of what picking at random loses (60)."""
    for policy in (EpsilonGreedy(), UCB1(), BernoulliThompson(), GaussianThompson(0.5), StudentThompson(variance=0.2)):
        for delay, batch in ((0, 4), (15, 10)):
            lost = simulated_regret(policy, [0.2, 0.8], decisions=200, runs=16, delay=delay, batch=batch)
            assert lost.shape == (16, 200) and (np.diff(lost, axis=1) >= 0).all()
            assert lost[:, -1].mean() + 3 * lost[:, -1].std() / math.sqrt(16) < 30


@pytest.mark.slow
def test_regret_is_that_of_plain_implementations() -> None:
    """100 runs of 500, ten arms: mean regret within four standard errors of 2,000 runs of a few lines of NumPy."""
    decisions, runs, plain_runs = 500, 100, 2000
    rng, gaps_A, rows_R = np.random.default_rng(0), 0.5 - np.array(MEANS), np.arange(plain_runs)

    def thompson(wins_RA: Any, losses_RA: Any, _: int) -> Any:
        return rng.beta(1 + wins_RA, 1 + losses_RA).argmax(axis=1)

    def ucb1(wins_RA: Any, losses_RA: Any, decision: int) -> Any:
        counts_RA = wins_RA + losses_RA
        if decision < len(MEANS):
            return np.full(plain_runs, decision)
        return (wins_RA / counts_RA + np.sqrt(2 * math.log(decision) / counts_RA)).argmax(axis=1)

    for policy, plain in ((BernoulliThompson(), thompson), (UCB1(), ucb1)):
        wins_RA, losses_RA = np.zeros((plain_runs, len(MEANS))), np.zeros((plain_runs, len(MEANS)))
        lost_R = np.zeros(plain_runs)
        for decision in range(decisions):
            picked_R = plain(wins_RA, losses_RA, decision)
            won_R = rng.random(plain_runs) < np.array(MEANS)[picked_R]
            wins_RA[rows_R, picked_R] += won_R
            losses_RA[rows_R, picked_R] += ~won_R
            lost_R += gaps_A[picked_R]
        ours = simulated_regret(policy, MEANS, decisions=decisions, runs=runs)[:, -1]
        error = math.hypot(ours.std() / math.sqrt(runs), lost_R.std() / math.sqrt(plain_runs))
        assert abs(ours.mean() - lost_R.mean()) < 4 * error


@pytest.mark.slow
def test_forgetting_follows_rates_that_change() -> None:
    """The best of five arms changes every 300 of 1,500 decisions: over 20 runs forgetting loses less, by 5 errors."""
    rates_TA = np.full((1500, 5), 0.2)
    rates_TA[np.arange(1500), np.arange(1500) // 300 % 5] = 0.8
    never, factor, half_life = (
        simulated_regret(BernoulliThompson(), rates_TA, decisions=1500, runs=20, discount=discount)[:, -1]
        for discount in (None, PerUpdate(0.99), HalfLife(70.0))
    )
    for forgetting in (factor, half_life):
        gain = never - forgetting
        assert gain.mean() > 5 * gain.std() / math.sqrt(20)
