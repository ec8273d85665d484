"""From scores to probabilities that mean what they say, without a change of the order.

Legend: N rows, K knots.

- ``isotonic``: the rising step function nearest to the labels (pool adjacent violators), each step taken as one point,
  at the mean score of its rows, and straight lines between the points. After Oron & Flournoy, "Centered Isotonic
  Regression" (2017): plain isotonic regression gives all scores of a step the same value, and so loses their order,
  which a ranking is made of. Beyond the outer points the lines go on half of the way to a rate of 0 at the score 0, and
  of 1 at the score 1: they rise, and promise nothing for certain.
- ``platt``: σ(a · logit(score) + b), a > 0, by maximum likelihood against the targets of Platt, "Probabilistic outputs
  for support vector machines" (1999): (P + 1) ÷ (P + 2) for a positive and 1 ÷ (M + 2) for a negative, of P positives
  and M negatives. For few rows: two parameters.

Both rise strictly, in float64: two scores that differ keep their order. They become one where the result, a float32,
has no number between them; and scores that were equal stay equal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError, closest

__all__ = ["Calibration", "Method", "fit_calibration"]

Method = Literal["isotonic", "platt", "none"]

_MOST_KNOTS = 100_000
_EDGE = 1e-7  # a score of 0 or 1 has no logit
_STEPS, _SMALLEST_STEP = 100, 1e-10
_LARGEST = 1e6


@dataclass(frozen=True, slots=True)
class Calibration:
    """A rising function from [0, 1] to [0, 1].

    Attributes:
        method: which kind.
        scores_K, rates_K: of ``isotonic``: the points it goes through, both rising strictly; scores from 0 to 1.
        slope, offset: of ``platt``: a and b.
        rows: how many it was fitted on.
    """

    method: Method = "none"
    scores_K: tuple[float, ...] = ()
    rates_K: tuple[float, ...] = ()
    slope: float = 1.0
    offset: float = 0.0
    rows: int = 0
    _knots_2K: npt.NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_knots_2K", np.array([self.scores_K, self.rates_K], np.float64))

    def apply(self, scores_N: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the calibrated ``scores_N``."""
        match self.method:
            case "isotonic":
                rates_N: npt.NDArray[np.float64] = np.interp(scores_N, *self._knots_2K)
                return rates_N.astype(np.float32)
            case "platt":
                return _sigmoid(self.slope * _logit(scores_N) + self.offset).astype(np.float32)
            case "none":
                return scores_N.astype(np.float32, copy=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the calibration as plain JSON values."""
        match self.method:
            case "isotonic":
                own: dict[str, Any] = {"scores": list(self.scores_K), "rates": list(self.rates_K)}
            case "platt":
                own = {"slope": self.slope, "offset": self.offset}
            case "none":
                own = {}
        return {"method": self.method, "rows": self.rows, **own}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Calibration:
        """Return the calibration that `to_dict` described.

        Raises:
            UserError: it is none, or it would change the order of scores.
        """
        match content:
            case {"method": "isotonic", "rows": int(rows), "scores": list(scores), "rates": list(rates)} if (
                len(content) == 4
                and _rises(scores)
                and _rises(rates)
                and len(scores) == len(rates)
                and scores[0] == 0
                and scores[-1] == 1
            ):
                return cls("isotonic", tuple(scores), tuple(rates), rows=rows)
            case {
                "method": "platt",
                "rows": int(rows),
                "slope": int() | float() as a,
                "offset": int() | float() as b,
            } if len(content) == 4 and 0 < a <= _LARGEST and abs(b) <= _LARGEST:
                return cls("platt", slope=float(a), offset=float(b), rows=rows)
            case {"method": "none", "rows": int(rows)} if len(content) == 2:
                return cls(rows=rows)
        raise UserError(
            f"calibration has the value {ascii(dict(content))[:120]}, allowed are 'none', 'platt' with a slope over 0, "
            f"and 'isotonic' with 2 to {_MOST_KNOTS:,} scores from 0 to 1 and rates, both rising; fit it again."
        )


def fit_calibration(
    method: str, y_N: npt.NDArray[Any], scores_N: npt.NDArray[Any], *, shares: bool = False
) -> Calibration:
    """Fit a calibration on rows that the model did not learn from.

    Args:
        method: ``isotonic``, ``platt`` or ``none``.
        y_N: labels, 0 or 1.
        scores_N: scores in [0, 1].
        shares: labels may lie between 0 and 1, such as amounts over their cap; rates are then mean shares.

    Raises:
        UserError: the method is unknown, the lengths disagree, a score is not in [0, 1] or a label not 0 or 1, the
            labels are all the same (but for ``none``), or (``platt``) higher scores do not go with more positives.
    """
    if method not in get_args(Method):
        raise UserError(f"calibration.method has the value {method!r}. {closest(method, get_args(Method))}")
    y_N, scores_N = np.asarray(y_N, np.float64), np.asarray(scores_N, np.float64)
    _check(y_N, scores_N, shares)
    if method != "none" and (not len(y_N) or y_N.min() == y_N.max()):
        positives = int((y_N > 0).sum())
        raise UserError(f"calibration was given {len(y_N)} rows, {positives} of them positive; it needs both kinds.")
    match method:
        case "isotonic":
            return _fit_isotonic(y_N, scores_N)
        case "platt":
            return _fit_platt(y_N, scores_N)
        case _:
            return Calibration(rows=len(y_N))


def _check(y_N: npt.NDArray[np.float64], scores_N: npt.NDArray[np.float64], shares: bool) -> None:
    if y_N.shape != scores_N.shape or y_N.ndim != 1:
        raise UserError(f"calibration was given {y_N.shape} labels and {scores_N.shape} scores; they must agree.")
    if not np.all((scores_N >= 0) & (scores_N <= 1)):
        raise UserError("calibration was given scores that are not in [0, 1]; give the model's own.")
    if not np.all((y_N >= 0) & (y_N <= 1) if shares else (y_N == 0) | (y_N == 1)):
        raise UserError(f"calibration was given labels that are not {'in [0, 1]' if shares else '0 or 1'}.")


def _fit_isotonic(y_N: npt.NDArray[np.float64], scores_N: npt.NDArray[np.float64]) -> Calibration:
    from scipy.optimize import isotonic_regression

    score_V, row_N = np.unique(scores_N, return_inverse=True)
    rows_V = np.bincount(row_N).astype(np.float64)
    rate_V = np.bincount(row_N, y_N) / rows_V
    first_K = np.asarray(isotonic_regression(rate_V, weights=rows_V).blocks)[:-1]
    rows_K = np.add.reduceat(rows_V, first_K)
    centre_K = np.add.reduceat(score_V * rows_V, first_K) / rows_K
    rates_K = _inside(np.add.reduceat(rate_V * rows_V, first_K) / rows_K, rows_K)
    # Rounding may bring two centres of neighbouring scores together; one of them then stands for both.
    kept_K = np.r_[True, (np.diff(centre_K) > 0) & (np.diff(rates_K) > 0)]
    points = list(zip(centre_K[kept_K].tolist(), rates_K[kept_K].tolist(), strict=True))
    low, high = (0.0, points[0][1] / 2), (1.0, (1 + points[-1][1]) / 2)
    points = [*([] if points[0][0] == 0 else [low]), *points, *([] if points[-1][0] == 1 else [high])]
    scores, rates = zip(*points, strict=True)
    return Calibration("isotonic", scores, rates, rows=len(y_N))


def _inside(rates_K: npt.NDArray[np.float64], rows_K: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Move a first rate of 0 and a last rate of 1 inside, as Platt's targets do: no number of rows proves them."""
    rates_K = rates_K.copy()
    if rates_K[0] <= 0:
        rates_K[0] = min(1 / (rows_K[0] + 2), rates_K[1] / 2 if len(rates_K) > 1 else 0.5)
    if rates_K[-1] >= 1:
        rates_K[-1] = max(1 - 1 / (rows_K[-1] + 2), (1 + rates_K[-2]) / 2 if len(rates_K) > 1 else 0.5)
    return rates_K


def _fit_platt(y_N: npt.NDArray[np.float64], scores_N: npt.NDArray[np.float64]) -> Calibration:
    """Newton's method with halved steps, after Lin, Lin & Weng, "A note on Platt's probabilistic outputs" (2007)."""
    logit_N, positives = _logit(scores_N), float(y_N.sum())
    negatives = len(y_N) - positives
    target_N = y_N * (positives + 1) / (positives + 2) + (1 - y_N) / (negatives + 2)
    x_N2 = np.column_stack([logit_N, np.ones_like(logit_N)])
    at_2 = np.array([0.0, math.log((positives + 1) / (negatives + 1))])
    loss = _loss(x_N2 @ at_2, target_N)
    for _ in range(_STEPS):
        p_N = _sigmoid(x_N2 @ at_2)
        gradient_2 = x_N2.T @ (p_N - target_N)
        # The small addition keeps the matrix invertible where all scores are the same.
        hessian_22 = (x_N2 * (p_N * (1 - p_N))[:, None]).T @ x_N2 + 1e-12 * len(y_N) * np.eye(2)
        step_2, size = np.linalg.solve(hessian_22, gradient_2), 1.0
        while size >= _SMALLEST_STEP and _loss(x_N2 @ (at_2 - size * step_2), target_N) > loss:
            size /= 2
        if size < _SMALLEST_STEP or np.max(np.abs(size * step_2)) < _SMALLEST_STEP:
            break
        at_2 = at_2 - size * step_2
        loss = _loss(x_N2 @ at_2, target_N)
    if not at_2[0] > 0:
        raise UserError(
            f"platt found the slope {at_2[0]:.3g}: higher scores do not go with more positives in these rows, so no "
            "rising function mends them; use 'isotonic' or 'none', and look at the model."
        )
    return Calibration("platt", slope=min(float(at_2[0]), _LARGEST), offset=float(at_2[1]), rows=len(y_N))


def _loss(logit_N: npt.NDArray[np.float64], target_N: npt.NDArray[np.float64]) -> float:
    return float(np.sum(np.logaddexp(0, logit_N) - target_N * logit_N))


def _logit(scores_N: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    p_N = np.clip(scores_N.astype(np.float64), _EDGE, 1 - _EDGE)
    return np.log(p_N) - np.log1p(-p_N)


def _sigmoid(logit_N: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(logit_N, -700, 700)))


def _rises(values: list[Any]) -> bool:
    if not 2 <= len(values) <= _MOST_KNOTS or not all(type(v) in (int, float) for v in values):
        return False
    points_K = np.array(values, np.float64)
    return bool(points_K[0] >= 0 and points_K[-1] <= 1 and np.all(np.diff(points_K) > 0))
