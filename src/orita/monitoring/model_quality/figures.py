"""What do answered rows say of a model? AUC, log loss, calibration, NDCG and CTR, each with an interval.

Legend: J joined rows, U users, B bins of score, G requests.

Intervals are closed forms of the sandwich variance over users: rows of one user resemble each other, and to take them
for independent makes intervals too narrow. Time and memory grow with the rows, so that hundreds of segments and days
cost what one of them does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

from orita.stats.clusters import clustered_mean, clustered_rate
from orita.stats.intervals import Interval
from orita.stats.metrics import row_log_loss
from orita.stats.placements import auc_influence
from orita.stats.ranking import ndcg_by_group, rank_groups
from orita.stats.resampling import LEAST_CLUSTERS, rests_on

__all__ = ["Figures", "ReliabilityBin", "auc_with_interval", "figures_of"]

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

_BINS = 10
_FOLDED = math.sqrt(2 / math.pi)  # mean of |z| of a standard normal z


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows of neighbouring scores: what was promised, what came, and how sure that is.

    Attributes:
        rows: how many.
        mean_score: what the model promised.
        ctr: what came.
    """

    rows: int
    mean_score: float
    ctr: Interval


@dataclass(frozen=True, slots=True)
class Figures:
    """What answered rows say; a figure that they cannot give is None.

    Attributes:
        rows, requests, users, clicks: what they are made of.
        ctr: clicks ÷ rows.
        auc: of all rows together, ties counting half.
        log_loss: mean, in nats.
        ndcg: at 10, mean over requests with a click and another row; among the items that were answered.
        mean_score: equals the CTR of a calibrated model.
        calibration_error: mean over rows of |mean score − CTR| of ten equally filled bins of score (ECE). Its lower end
            is what remains once chance's share is taken off.
        calibration_error_by_chance: what chance alone makes of it where the scores are the true probabilities.
        reliability: those bins.
    """

    rows: int
    requests: int
    users: int
    clicks: int
    ctr: Interval | None = None
    auc: Interval | None = None
    log_loss: Interval | None = None
    ndcg: Interval | None = None
    mean_score: float | None = None
    calibration_error: Interval | None = None
    calibration_error_by_chance: float | None = None
    reliability: tuple[ReliabilityBin, ...] = ()


def figures_of(
    clicks_J: Floats,
    scores_J: Floats,
    users_J: Codes,
    requests_J: Codes,
    *,
    least_rows: int = 200,
    least_clicks: int = 30,
    confidence: float = 0.95,
    k: int = 10,
) -> Figures:
    """Return the figures of rows.

    Args:
        clicks_J: 0 or 1.
        scores_J: click probabilities.
        users_J: code of each row's user.
        requests_J: code of each row's request.
        least_rows, least_clicks: with fewer rows, clicks, or others, and with fewer than ten users who click or do not,
            there are counts and nothing else.
        confidence: of the intervals.
        k: items that NDCG looks at.
    """
    rows, clicks = len(clicks_J), int(clicks_J.sum())
    requests, users = len(np.unique(requests_J)), len(np.unique(users_J))
    few = rows < least_rows or min(clicks, rows - clicks) < least_clicks
    if few or rests_on(clicks_J, users_J) < LEAST_CLUSTERS:
        return Figures(rows, requests, users, clicks)
    tail = (1 - confidence) / 2
    user_J = np.unique(users_J, return_inverse=True)[1].astype(np.int64)
    error, by_chance, bins = _calibration(clicks_J, scores_J, user_J, tail)
    return Figures(
        rows,
        requests,
        users,
        clicks,
        ctr=clustered_rate(clicks_J, user_J, tail=tail),
        auc=auc_with_interval(clicks_J, scores_J, user_J, tail=tail),
        log_loss=clustered_mean(row_log_loss(clicks_J, scores_J), user_J, tail=tail),
        ndcg=_ndcg(clicks_J, scores_J, user_J, requests_J, tail, k),
        mean_score=float(scores_J.mean()),
        calibration_error=error,
        calibration_error_by_chance=by_chance,
        reliability=bins,
    )


def auc_with_interval(clicks_J: Floats, scores_J: Floats, users_J: Codes, *, tail: float) -> Interval:
    """Return the AUC with the interval that leaves *tail* out on each side.

    The variance is that of DeLong's placements summed by user, the interval is symmetric in the logit, so that it stays
    within 0 and 1; quantiles are Student's, of one degree of freedom less than there are users with the rarer kind of
    rows.

    Source: Obuchowski (1997), Nonparametric analysis of clustered ROC curve data; for the logit Pepe (2003).
    """
    value, influence_J = auc_influence(clicks_J, scores_J)
    pull_U = np.bincount(np.unique(users_J, return_inverse=True)[1], influence_J)
    error = math.sqrt(float((pull_U**2).sum()) * len(pull_U) / max(len(pull_U) - 1, 1))
    reach = float(t.isf(tail, rests_on(clicks_J, users_J) - 1)) * error
    if not 0 < value < 1 or math.isnan(reach):
        return Interval(value, math.nan, math.nan)
    logit, reach = math.log(value / (1 - value)), reach / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-end)) for end in (logit - reach, logit + reach))
    return Interval(value, low, high)


def _ndcg(clicks_J: Floats, scores_J: Floats, user_J: Codes, requests_J: Codes, tail: float, k: int) -> Interval | None:
    _, first_G = np.unique(requests_J, return_index=True)
    ranking = rank_groups(clicks_J, scores_J, requests_J)
    grouped = ndcg_by_group(ranking, k)
    # A list of one item is always in its best order, and says nothing.
    counted_G = grouped.counted_G & (ranking.rows_G > 1)
    users_G = user_J[first_G][counted_G]
    if len(np.unique(users_G)) < LEAST_CLUSTERS:
        return None
    found = clustered_mean(grouped.values_G[counted_G], users_G, tail=tail)
    return Interval(found.value, max(found.low, 0.0), min(found.high, 1.0))


def _calibration(
    clicks_J: Floats, scores_J: Floats, user_J: Codes, tail: float
) -> tuple[Interval, float, tuple[ReliabilityBin, ...]]:
    """Return ECE with its interval, what chance alone makes of it, and the reliability table."""
    rows, users = len(clicks_J), int(user_J.max()) + 1
    order_J = np.argsort(scores_J, kind="stable")
    bin_J = np.empty(rows, np.int64)
    bin_J[order_J] = np.arange(rows) * _BINS // rows
    rows_B = np.bincount(bin_J, minlength=_BINS)
    gap_B = np.bincount(bin_J, scores_J - clicks_J, minlength=_BINS) / rows  # weighted by the share of the bin
    centred_J = scores_J - clicks_J - (gap_B * rows / rows_B)[bin_J]
    pull_BU = np.bincount(bin_J * users + user_J, centred_J, minlength=_BINS * users).reshape(_BINS, users) / rows
    covariance_BB = pull_BU @ pull_BU.T * users / max(users - 1, 1)
    error = float(np.abs(gap_B).sum())
    by_chance = float(np.sqrt(np.diag(covariance_BB)).sum()) * _FOLDED
    sign_B = np.sign(gap_B)
    reach = float(norm.isf(tail)) * math.sqrt(max(float(sign_B @ covariance_BB @ sign_B), 0.0))
    interval = Interval(error, max(error - by_chance - reach, 0.0), min(error + reach, 1.0))
    bins = tuple(
        ReliabilityBin(
            int(rows_B[b]),
            float(scores_J[bin_J == b].mean()),
            clustered_rate(clicks_J[bin_J == b], user_J[bin_J == b], tail=tail),
        )
        for b in range(_BINS)
    )
    return interval, by_chance, bins
