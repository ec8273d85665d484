"""Is a number other than it was? Against its last values, or against the same hours of the weeks before.

Legend: N values in order of time, W weeks, S steps of a week.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Verdict", "seasonal", "z_score"]

_TO_SIGMA = 1.4826
_NEIGHBOURS, _DAYS = 2, 7
_TAIL = 0.05
_ENOUGH = 10
_PRIOR = 0.25
Direction = Literal["both", "above", "below"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far a value is from what was expected.

    Attributes:
        judged: there is enough history to say.
        anomalous: the distance is at least the limit, in a direction that counts.
        score: distance in scales, with its sign; infinite where the past did not vary at all.
        limit: from which on it is an anomaly.
        expected: the value that was expected.
    """

    judged: bool
    anomalous: bool = False
    score: float = 0.0
    limit: float = math.inf
    expected: float = math.nan


def z_score(
    value_N: NDArray[np.float64], *, window: int = 24, limit: float = 3.0, direction: Direction = "both"
) -> Verdict:
    """Hold the last of *value_N* against mean and standard deviation of the *window* before it.

    This is the plain mode: its false alarms depend on the distribution, and it knows no hours and weekdays.
    """
    past_N = value_N[-1 - window : -1]
    past_N = past_N[np.isfinite(past_N)]
    if len(value_N) < window + 1 or len(past_N) < window or not np.isfinite(value_N[-1]):
        return Verdict(False)
    expected, scale = float(past_N.mean()), float(past_N.std(ddof=1))
    away = float(value_N[-1]) - expected
    # Rounding of equal values is no variation.
    scale = 0.0 if scale <= 1e-12 * abs(expected) else scale
    score = away / scale if scale else (0.0 if abs(away) <= 1e-9 * abs(expected) else math.copysign(math.inf, away))
    return Verdict(True, _counts(score, direction) >= limit, score, limit, expected)


def seasonal(
    value_N: NDArray[np.float64],
    steps: int,
    *,
    false_alarm_rate: float = 0.001,
    seasons: int = 4,
    min_change: float = 0.0,
    direction: Direction = "both",
) -> Verdict:
    """Hold the last of *value_N* against the median of the same step of the weeks before.

    Distances are divided by the median absolute deviation of steps like it, over all weeks; the limit is
    the quantile of such distances of the history itself, each value left out of its own median, so that a look at an
    unchanged number fires at *false_alarm_rate* whatever its distribution (split conformal prediction; Lei et al.,
    Distribution-free predictive inference for regression, JASA 2018). Where the history is too short for that quantile
    its tail is taken as exponential beyond the 95th percentile.

    Args:
        value_N: one value a step, the last is judged; NaN where nothing was measured.
        steps: of a week.
        false_alarm_rate: 0 … 0.5, of one look.
        seasons: weeks of history of this step before anything is judged.
        min_change: share of what was expected that a smaller change does not exceed.
        direction: which changes count.
    """
    x_WS = _by_week(value_N, steps)
    now, past_W = float(x_WS[0, 0]), x_WS[1:, 0]
    if not np.isfinite(now) or np.isfinite(past_W).sum() < seasons:
        return Verdict(False)
    history_WS = x_WS[1:]
    away_WS = history_WS - _median_of_others(history_WS)
    scale_S = _scales(away_WS)
    signed = away_WS / scale_S
    scores_M = _counts_all(signed[np.isfinite(signed)], direction)
    expected = float(np.nanmedian(past_W))
    score = (now - expected) / float(scale_S[0])
    limit = _limit(np.sort(scores_M), false_alarm_rate)
    large = abs(now - expected) >= min_change * abs(expected)
    return Verdict(True, large and _counts(score, direction) > limit, score, limit, expected)


def _by_week(value_N: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """Return the values by age: week 0, step 0 is the last; steps that are missing are NaN."""
    weeks = -(-len(value_N) // steps)
    padded = np.full(weeks * steps, np.nan)
    padded[: len(value_N)] = value_N[::-1]
    return padded.reshape(weeks, steps)


def _median_of_others(x_WS: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each value the median of its step in all other weeks."""
    return np.array([_medians(np.delete(x_WS, week, axis=0)) for week in range(len(x_WS))])


def _scales(away_WS: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a scale for each step: between that of itself and its neighbours, and that of its hour on all days."""
    size_WS = np.abs(away_WS)
    shifts = range(-_NEIGHBOURS, _NEIGHBOURS + 1)
    near = _medians(np.concatenate([np.roll(size_WS, shift, axis=1) for shift in shifts]))
    steps = size_WS.shape[1]
    if steps % _DAYS == 0:
        days = [np.roll(size_WS, shift + day * steps // _DAYS, axis=1) for shift in (-1, 0, 1) for day in range(_DAYS)]
        # A few dozen distances say roughly how large they are; those of other days double what is known.
        near = np.sqrt(near * _medians(np.concatenate(days)))
    of_all = _TO_SIGMA * float(np.nanmedian(size_WS))
    floor = max(_PRIOR * of_all, 1e-3 * float(np.nanmean(size_WS)), 1e-12)
    return np.maximum(np.where(np.isfinite(near), _TO_SIGMA * near, of_all), floor)


def _medians(x_WS: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each column, NaN where it has nothing else."""
    sorted_WS = np.sort(x_WS, axis=0)  # NaN last; np.nanmedian takes ten times as long
    count_S, step_S = np.isfinite(x_WS).sum(axis=0), np.arange(x_WS.shape[1])
    middle_S = (sorted_WS[(np.maximum(count_S, 1) - 1) // 2, step_S] + sorted_WS[count_S // 2 % len(x_WS), step_S]) / 2
    return np.where(count_S > 0, middle_S, np.nan)


def _limit(sorted_M: NDArray[np.float64], rate: float) -> float:
    """Return the distance that a look at an unchanged number exceeds at *rate*, from sorted distances of history."""
    count = len(sorted_M)
    if count * rate >= _ENOUGH:
        return float(sorted_M[min(math.ceil((count + 1) * (1 - rate)), count) - 1])
    start = float(np.quantile(sorted_M, 1 - _TAIL))
    beyond = sorted_M[sorted_M > start] - start
    return start + (float(beyond.mean()) if len(beyond) else 0.0) * math.log(max(_TAIL / rate, 1.0))


def _counts(score: float, direction: Direction) -> float:
    return {"both": abs(score), "above": score, "below": -score}[direction]


def _counts_all(score_M: NDArray[np.float64], direction: Direction) -> NDArray[np.float64]:
    return {"both": np.abs(score_M), "above": score_M, "below": -score_M}[direction]
