"""How good is the model before its labels arrive? Expected AUC, log loss and CTR, from calibrated scores.

Confidence-based performance estimation: on labelled history learn how likely a click is at each score, then take the
recent scores and reckon what their labels would give on average. It follows whatever the recent *scores* tell: another
mix of users, of items, of hours. It cannot see that clicks at the same score became rarer or likelier (concept drift):
no method can without labels, so a figure is told as what it is, an expectation, and what was measured comes first where
it is there. Source: Garg et al. (2022), "Leveraging unlabeled data to predict out-of-distribution performance"; CBPE
of NannyML.

Legend: J rows of labelled history, N recent rows, U users.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

from orita.core.errors import UserError
from orita.models.calibration import Calibration, fit_calibration
from orita.monitoring.model_quality.figures import auc_with_interval
from orita.stats.clusters import clustered_mean
from orita.stats.expected_auc import expected_auc
from orita.stats.intervals import Interval
from orita.stats.metrics import row_log_loss
from orita.stats.resampling import LEAST_CLUSTERS, rests_on

__all__ = ["Estimated", "PerformanceEstimator", "fit_estimator"]

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

_GROUPS = 10
_FLOOR = 1e-7
_SIGMA = float(norm.sf(1))  # the tail beyond one standard error


@dataclass(frozen=True, slots=True)
class Estimated:
    """What the labels of recent rows are expected to say; ranges are where the measured figure will lie.

    Attributes:
        rows: how many had a score.
        users: whose.
        auc, log_loss, ctr: the figures. A range holds the measured figure with the confidence asked for as long as a
            click stays as likely at each score as it was in history.
        outside: share of rows whose score is beyond all of history's: there the calibration is a guess.
    """

    rows: int
    users: int
    auc: Interval
    log_loss: Interval
    ctr: Interval
    outside: float


@dataclass(frozen=True, slots=True)
class PerformanceEstimator:
    """How likely a click is at each score, learnt from labelled history.

    Attributes:
        calibration: the curve of all history.
        without_G: the curves without a tenth of the users each: how sure the first is.
        history: AUC, log loss and CTR as measured on history.
        errors: their standard errors there.
        users: whose history it is.
        low, high: least and greatest score of history.
    """

    calibration: Calibration
    without_G: tuple[Calibration, ...]
    history: tuple[float, float, float]
    errors: tuple[float, float, float]
    users: int
    low: float
    high: float

    def estimate(self, scores_N: Floats, users_N: Codes, *, confidence: float = 0.95) -> Estimated:
        """Return what the labels of recent rows are expected to say.

        Args:
            scores_N: in [0, 1].
            users_N: code of each row's user.
            confidence: of the ranges.

        Raises:
            UserError: there are no two rows.
        """
        if len(scores_N) < 2:
            raise UserError(f"there are {len(scores_N)} recent scores: an estimate needs 2 and more.")
        users = len(np.unique(users_N))
        found = _expected(scores_N, self.calibration)
        without_G3 = np.array([_expected(scores_N, curve) for curve in self.without_G])
        # Delete-a-group jackknife: what is left out is whole users, so rows of one need not be independent.
        groups = len(self.without_G)
        learnt_3 = np.sqrt((groups - 1) / groups * ((without_G3 - without_G3.mean(axis=0)) ** 2).sum(axis=0))
        drawn_3 = np.array(self.errors) * math.sqrt(self.users / users)
        reach_3 = float(t.isf((1 - confidence) / 2, groups - 1)) * learnt_3
        reach_3 = np.hypot(reach_3, float(norm.isf((1 - confidence) / 2)) * drawn_3)
        auc, loss, ctr = (
            Interval(value, value - reach, value + reach) for value, reach in zip(found, reach_3.tolist(), strict=True)
        )
        outside = float(((scores_N < self.low) | (scores_N > self.high)).mean())
        return Estimated(len(scores_N), users, _cut(auc), _cut(loss, 0.0, math.inf), _cut(ctr), outside)


def fit_estimator(
    clicks_J: Floats, scores_J: Floats, users_J: Codes, *, method: str = "isotonic", least_rows: int = 500
) -> PerformanceEstimator:
    """Learn from labelled history.

    Args:
        clicks_J: 0 or 1.
        scores_J: scores of the same model, in [0, 1].
        users_J: code of each row's user.
        method: ``isotonic``, or for few rows ``platt``.
        least_rows: with fewer there is nothing to learn from.

    Raises:
        UserError: there are too few rows, or too few users who click, or who do not.
    """
    rests = rests_on(clicks_J, users_J) if len(clicks_J) else 0
    if len(clicks_J) < least_rows or rests < _GROUPS * LEAST_CLUSTERS:
        raise UserError(
            f"the history has {len(clicks_J):,} rows with feedback, and {rests:,} users who clicked or who did not: an "
            f"estimate needs {least_rows:,} rows and {_GROUPS * LEAST_CLUSTERS} users of either kind; wait for more."
        )
    user_J = np.unique(users_J, return_inverse=True)[1]
    group_J = np.random.default_rng(0).permutation(int(user_J.max()) + 1)[user_J] % _GROUPS
    without = tuple(fit_calibration(method, clicks_J[group_J != g], scores_J[group_J != g]) for g in range(_GROUPS))
    auc = auc_with_interval(clicks_J, scores_J, user_J, tail=_SIGMA)
    loss = clustered_mean(row_log_loss(clicks_J, scores_J), user_J, tail=_SIGMA)
    ctr = clustered_mean(clicks_J, user_J, tail=_SIGMA)
    return PerformanceEstimator(
        calibration=fit_calibration(method, clicks_J, scores_J),
        without_G=without,
        history=(auc.value, loss.value, ctr.value),
        errors=tuple((each.high - each.low) / 2 for each in (auc, loss, ctr)),  # type: ignore[arg-type]
        users=int(user_J.max()) + 1,
        low=float(scores_J.min()),
        high=float(scores_J.max()),
    )


def _expected(scores_N: Floats, curve: Calibration) -> tuple[float, float, float]:
    """Return AUC, log loss and CTR that are expected where a click is as likely as *curve* says."""
    chance_N = curve.apply(scores_N).astype(np.float64)
    told_N = np.clip(scores_N, _FLOOR, 1 - _FLOOR)
    loss = -float((chance_N * np.log(told_N) + (1 - chance_N) * np.log1p(-told_N)).mean())
    return expected_auc(scores_N, chance_N), loss, float(chance_N.mean())


def _cut(found: Interval, least: float = 0.0, most: float = 1.0) -> Interval:
    low, high = (min(max(end, least), most) for end in (found.low, found.high))
    return Interval(found.value, low, high)
