"""Diagnostics tell a log that can judge a policy from one that cannot, and say why."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import chisquare

from orita.core.errors import UserError
from orita.delivery.ope import Limits, action_calibration, diagnose, propensity_calibration


def test_a_wide_log_of_a_near_policy_is_enough() -> None:
    """Weights near 1 of many rows raise no reason; the figures are their definitions."""
    weight = np.tile([0.9, 1.1], 500)
    found = diagnose(weight)
    assert found.verdict.enough and found.verdict.reasons == ()
    assert found.effective_sample_size == pytest.approx(1000**2 / (500 * (0.81 + 1.21)))
    assert found.mean_weight == pytest.approx(1.0)
    assert (found.largest_weight, found.units) == (1.1, 1000)
    assert found.mean_weight_low < 1 < found.mean_weight_high
    assert found.unsupported_share is None and found.rare_share is None


def test_each_limit_has_its_reason() -> None:
    """Few effective rows, one user who holds the weight, and weights that do not average 1 are each told."""
    few = diagnose(np.r_[np.full(10, 50.0), np.full(490, 0.0)])
    assert "worth 10 rows of the target policy, 100 are needed" in few.verdict.reasons[0]
    unit = np.r_[np.zeros(200), np.arange(1, 801)]
    (one,) = diagnose(np.ones(1000), unit_N=unit, limits=Limits(least_effective=20)).verdict.reasons
    assert one == "one unit holds 20.0% of the weight, at most 5.0% is allowed"
    (off,) = diagnose(np.tile([0.4, 0.6], 500)).verdict.reasons
    assert "mean weight is 0.500 and should be 1" in off


def test_effective_units_count_users_not_rows() -> None:
    """Rows of one user are one unit: 1,000 rows of 50 users are worth 50, which is not enough."""
    found = diagnose(np.ones(1000), unit_N=np.repeat(np.arange(50), 20))
    assert (found.effective_sample_size, found.effective_units) == pytest.approx((1000, 50))
    assert "worth 50 rows" in found.verdict.reasons[0]


def test_support_is_exact_where_all_probabilities_are_known() -> None:
    """An action that logging never takes, and one that it takes once in 10,000, are shares of the target's choices."""
    logging = np.tile([0.9999, 0.0001, 0.0], (1000, 1))
    target = np.tile([0.7, 0.2, 0.1], (1000, 1))
    found = diagnose(np.full(1000, 0.7 / 0.9999), logging_NA=logging, target_NA=target)
    assert found.unsupported_share == pytest.approx(0.1)
    assert found.rare_share == pytest.approx(0.2)
    assert found.verdict.reasons[:2] == (
        "10.0% of what the target policy does is never done by logging",
        "20.0% of what the target policy does is so rare in the log that one row would count as 5% of it",
    )
    with pytest.raises(UserError, match="give logging_NA and target_NA"):
        diagnose(np.ones(10), logging_NA=logging)
    with pytest.raises(UserError, match="weights of shape"):
        diagnose([])


def test_calibration_with_one_probability_a_bin_is_pearson_s_test() -> None:
    """Where every decision has the same three probabilities, the p-value is that of Pearson's χ² on the counts."""
    share = np.array([0.1, 0.3, 0.6])
    action = np.repeat([0, 1, 2], [14, 25, 61])
    found = action_calibration(np.tile(share, (100, 1)), action, bins=50)
    assert [each.frequency for each in found.bins] == pytest.approx([0.14, 0.25, 0.61])
    assert found.p_value == pytest.approx(chisquare([14, 25, 61], 100 * share).pvalue)
    assert found.error == pytest.approx((4 + 5 + 1) / 100)


def test_right_propensities_pass_and_wrong_ones_do_not() -> None:
    """Of 400 right logs about 5 % fail the test of 5 %; a log drawn from sharper probabilities fails it by far."""
    random, low = np.random.default_rng(0), 0
    for _ in range(400):
        logging = random.dirichlet(np.ones(5), 300)
        action = (random.random((300, 1)) > np.cumsum(logging, axis=1)).sum(axis=1).clip(0, 4)
        low += action_calibration(logging, action).p_value < 0.05
    assert 6 <= low <= 36
    sharper = logging**2 / (logging**2).sum(axis=1, keepdims=True)
    action = (random.random((300, 1)) > np.cumsum(sharper, axis=1)).sum(axis=1).clip(0, 4)
    wrong = action_calibration(logging, action)
    assert wrong.p_value < 1e-6
    told = diagnose(np.ones(300), calibration=wrong)
    assert told.verdict.reasons == ("actions were not drawn as often as their propensities say",)
    assert json.loads(json.dumps(told.to_dict()))["calibration"]["p_value"] == wrong.p_value


def test_candidates_may_be_left_out_and_decisions_may_not_be_mixed() -> None:
    """Probabilities of a decision may add up to less than 1, with nothing drawn; never to more, nor two draws."""
    part = propensity_calibration([0.2, 0.3, 0.5, 0.2], np.array([0, 1, 0, 0]), np.array(["a", "a", "b", "b"]))
    assert 0 < part.p_value <= 1
    with pytest.raises(UserError, match=r"add up to 1\.2"):
        propensity_calibration([0.6, 0.6], np.array([0, 1]), np.array([7, 7]))
    with pytest.raises(UserError, match="2 candidates of one were drawn"):
        propensity_calibration([0.5, 0.5], np.array([1, 1]), np.array([7, 7]))
