"""Is a ratio of users' sums, such as revenue by shown item, lower in one arm? At every look, over strata of users.

Legend: W widths of mixtures.

Sums of users have heavy tails: most are 0, a few are large. An arm with few users whose mean is low by chance has a low
variance by the same chance, so that the usual statistic, which divides by the arm's own, is wrong far too often just
where a canary begins. Therefore both arms are given the larger of both variances. Under the null they are alike, and
the arm with most users knows it; where treatment is low the error does not shrink with it. A sum that is never negative
has a light lower tail once its second moment is known (Maurer 2003), so "treatment is lower" errs less often than
declared; an arm that is high because of one user has that user in its own variance.

In each stratum (users of one time, alike but for the dice) the contrast treatment − null · control has a score,
contrast ÷ error², and an information, 1 ÷ error². Both add up over strata, as those of independent users do, so levels
that move between strata, or shares that do, bias nothing. What the mixture is: `orita.stats.sequential.mixtures`. It
holds asymptotically: see `score_of` for the users that must have come first.

Maurer, "A bound on the deviation probability for sums of non-negative random variables" (2003); Deng, Knoblich and Lu,
"Applying the delta method in metric analytics" (2018).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from orita.stats.sequential.ratio_moments import RatioMoments

__all__ = ["LEAST_CONTRIBUTING", "LEAST_USERS", "Score", "score_of", "worse_log_e"]

LEAST_USERS = 100.0
"""Users that each arm of a stratum needs."""
LEAST_CONTRIBUTING = 50.0
"""So many users of equal sums must there be to make what one of the arms has: (Σy)² ÷ Σy²."""

_WIDTHS_W = np.array([0.02, 0.06, 0.2, 0.6])
"""Relative effects that are looked for."""


@dataclass(frozen=True, slots=True)
class Score:
    """What strata tell of treatment − null · control: the sum of contrast ÷ error², and that of 1 ÷ error²."""

    score: float = 0.0
    information: float = 0.0

    def __add__(self, other: Score) -> Score:
        return Score(self.score + other.score, self.information + other.information)


def score_of(control: RatioMoments, treatment: RatioMoments, null: float) -> Score:
    """Return what one stratum tells; nothing where it has too few users to know a variance.

    Args:
        control, treatment: all users of the stratum so far, sums y over sums x, both never negative.
        null: treatment ÷ control under the null, above 0.
    """
    arms = (control, treatment)
    if min(arm.n for arm in arms) < LEAST_USERS or max(map(_contributing, arms)) < LEAST_CONTRIBUTING:
        return Score()
    of_control, of_treatment = control.moments, treatment.moments
    variance = max(null**2 * of_control.variance, of_treatment.variance)
    if not variance > 0:  # all users are alike: there is nothing to know a variance by
        return Score()
    information = 1 / (variance * (1 / control.n + 1 / treatment.n))
    return Score((of_treatment.mean - null * of_control.mean) * information, information)


def worse_log_e(total: Score, scale: float, *, lower: bool) -> float:
    """Return the log of the evidence that treatment is below the null, or above it; reject at log(1 / level).

    Args:
        total: of all strata.
        scale: what the ratio is like, above 0, known before most of the evidence: effects are looked for in its unit.
        lower: whether treatment below the null is looked for.
    """
    if not total.information:
        return 0.0
    # One-sided normal mixtures about the null, as `Mixture(0, width)` has them, of all widths at once.
    width_W, score = scale * _WIDTHS_W, -total.score if lower else total.score
    spread_W = 1 + width_W**2 * total.information
    tilt_W = width_W * score / np.sqrt(spread_W)
    log_e_W = tilt_W**2 / 2 - np.log(spread_W) / 2 + log_ndtr(tilt_W) + math.log(2)
    return float(np.logaddexp.reduce(log_e_W)) - math.log(len(_WIDTHS_W))


def _contributing(arm: RatioMoments) -> float:
    return arm.y**2 / arm.yy if arm.yy else 0.0
