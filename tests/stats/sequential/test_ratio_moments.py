"""Ratios of users' sums: batches equal all at once, and the level holds at all looks though rows are dependent."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import binom

from orita.core.errors import UserError
from orita.stats.sequential.confidence_sequences import SequentialComparison
from orita.stats.sequential.mixtures import Mixture
from orita.stats.sequential.ratio_moments import RatioMoments


def test_sums_of_batches_are_those_of_all_units() -> None:
    """Merged in parts, written down and read, the ratio and its error are those of the linearised values of all."""
    random = np.random.default_rng(0)
    views = random.geometric(0.2, 500).astype(float)
    clicks = random.binomial(views.astype(int), 0.3).astype(float)
    merged = RatioMoments()
    for part in np.split(np.arange(500), [3, 100, 100, 420]):
        merged = merged.merged(RatioMoments.of(clicks[part], views[part]))
        merged = RatioMoments.from_dict(json.loads(json.dumps(merged.to_dict())))
    ratio = clicks.sum() / views.sum()
    linear = ratio + (clicks - ratio * views) / views.mean()
    assert merged.moments.mean == pytest.approx(ratio)
    assert merged.moments.error == pytest.approx(linear.std(ddof=1) / math.sqrt(500))


def test_ratios_hold_the_level_at_all_looks() -> None:
    """Of 100 A/A runs of 20 looks, users of different tastes and paces, at most 5 % (+ 3 σ) reject; most lifts do."""
    random, runs = np.random.default_rng(1), 100
    rejected = {0.0: 0, 0.25: 0}
    for lift in rejected:
        for _ in range(runs):
            test = SequentialComparison(Mixture.for_effect(0.025))
            sums = [RatioMoments(), RatioMoments()]
            for _ in range(20):
                for arm in (0, 1):
                    views = random.geometric(0.1, 100)
                    taste = random.beta(1, 9, 100) * (1 + lift * arm)
                    sums[arm] = sums[arm].merged(RatioMoments.of(random.binomial(views, np.minimum(taste, 1)), views))
                test = test.looked(sums[0].moments, sums[1].moments)
            rejected[lift] += test.rejected
    assert rejected[0.0] <= binom.ppf(0.9987, runs, 0.05)
    assert rejected[0.25] > runs / 2


def test_what_is_no_ratio_is_refused() -> None:
    """Denominators of nothing, and lengths that differ, are named."""
    with pytest.raises(UserError, match="add up to 0"):
        _ = RatioMoments.of([1.0], [0.0]).moments
    with pytest.raises(UserError, match="2 numerators and 1 denominators"):
        RatioMoments.of([1.0, 2.0], [1.0])
