"""Ratios of users' sums with heavy tails: rarely wrong where the usual statistic often is, and sharp at need."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import logsumexp

from orita.stats.sequential.mixtures import Mixture
from orita.stats.sequential.ratio_moments import RatioMoments
from orita.stats.sequential.ratio_scores import Score, score_of, worse_log_e


def buyers(random: np.random.Generator, users: int, *, buys: float = 0.03, worth: float = 1.0) -> RatioMoments:
    """Return users who were shown ten items each, some of whom bought for an amount that is seldom large."""
    amount_U = np.where(random.random(users) < buys, worth * random.lognormal(3, 1.2, users), 0.0)
    return RatioMoments.of(amount_U, np.full(users, 10.0))


@pytest.mark.parametrize("lower", [True, False])
def test_evidence_is_that_of_one_sided_mixtures(lower: bool) -> None:
    """Of normal mixtures about the null, each with one of the widths."""
    total, scale = Score(-3.0, 4.0), 2.0
    mixtures = [Mixture(0.0, width * scale) for width in (0.02, 0.06, 0.2, 0.6)]
    side = "less" if lower else "greater"
    each = [float(mixture.log_e(-0.75, 0.5, side=side)) for mixture in mixtures]  # type: ignore[arg-type]
    assert worse_log_e(total, scale, lower=lower) == pytest.approx(logsumexp(each) - math.log(4))


def test_few_users_are_no_evidence() -> None:
    """Neither a hundred of one version, nor thousands of whom nearly nobody bought."""
    random = np.random.default_rng(0)
    many = buyers(random, 20_000)
    assert score_of(many, buyers(random, 99), 1.0) == Score()
    assert score_of(buyers(random, 1000, buys=0.01), RatioMoments.of(np.zeros(1000), np.ones(1000)), 1.0) == Score()
    assert score_of(many, buyers(random, 200), 1.0).information > 0
    assert worse_log_e(Score(), 1.0, lower=True) == 0.0


def test_an_arm_without_any_value_is_found() -> None:
    """Nobody buys any more: the arm's own variance is 0, and the other's tells how sure that is."""
    many = buyers(np.random.default_rng(0), 50_000)
    few, more = (RatioMoments.of(np.zeros(users), np.full(users, 10.0)) for users in (300, 3000))
    scale = many.moments.mean
    assert worse_log_e(score_of(many, few, 1.0), scale, lower=True) < math.log(100)
    assert worse_log_e(score_of(many, more, 1.0), scale, lower=True) > math.log(400)


def test_a_null_below_one_tolerates_a_loss() -> None:
    """What is 20 % less is proven less, and not proven less by more than 30 %."""
    random = np.random.default_rng(0)
    control, treated = buyers(random, 200_000), buyers(random, 200_000, worth=0.8)
    scale = control.moments.mean
    assert worse_log_e(score_of(control, treated, 1.0), scale, lower=True) > math.log(1000)
    assert worse_log_e(score_of(control, treated, 0.7), scale, lower=True) < 0


def test_heavy_tails_in_a_small_arm() -> None:
    """200 users against 20,000: at one look the usual statistic calls an equal arm lower ten times too often."""
    random = np.random.default_rng(0)
    usual, ours, runs, bound = 0, 0, 1000, -2.326
    for _ in range(runs):
        control, treated = buyers(random, 20_000), buyers(random, 200)
        of_control, of_treated = control.moments, treated.moments
        error = math.hypot(of_control.error, of_treated.error)
        usual += not error or (of_treated.mean - of_control.mean) / error < bound
        found = score_of(control, treated, 1.0)
        ours += found.information > 0 and found.score / math.sqrt(found.information) < bound
    assert usual / runs > 0.1
    assert ours / runs < 0.01
