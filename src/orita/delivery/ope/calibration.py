"""Are logged propensities the shares with which actions were drawn? Bins of probability, and one test over all.

Legend: M candidates, a row each action that could have been drawn in a decision; N decisions, A actions, B bins.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from orita.core.errors import UserError
from orita.delivery.ope.checking import checked_probabilities

__all__ = ["CalibrationBin", "PropensityCalibration", "action_calibration", "propensity_calibration"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Candidates of like probability.

    Attributes:
        candidates: how many.
        propensity: their mean logged probability.
        frequency: share of them that was drawn.
        deviation: drawn less expected, in standard deviations of a draw with the logged probabilities.
    """

    candidates: int
    propensity: float
    frequency: float
    deviation: float


@dataclass(frozen=True, slots=True)
class PropensityCalibration:
    """Whether actions were drawn as often as their propensities say.

    Attributes:
        bins: by rising probability.
        p_value: chance of deviations as large when the propensities are right.
        error: mean absolute difference of frequency and propensity, weighed by the propensity of bins: 0.1 means that
            the draws differ from what was logged by a tenth.
    """

    bins: tuple[CalibrationBin, ...]
    p_value: float
    error: float

    def to_dict(self) -> dict[str, Any]:
        """Return a plain object for JSON."""
        return asdict(self)


def propensity_calibration(
    propensity_M: npt.ArrayLike, drawn_M: npt.NDArray[Any], decision_M: npt.NDArray[Any], *, bins: int = 10
) -> PropensityCalibration:
    """Compare logged probabilities of candidates with how often those were drawn.

    Args:
        propensity_M: probability of each candidate; those of a decision add up to 1, or less where some are left out.
        drawn_M: whether it was drawn; at most one of a decision.
        decision_M: id of the decision that each candidate belongs to.
        bins: at most so many, of equal sums of probability as far as ties allow.

    The test is Pearson's over the bins: one draw a decision makes the bins' counts dependent, which their covariance
    takes in.

    Raises:
        UserError: shapes differ, values are no probabilities, a decision has two draws or probabilities above 1 in sum.
    """
    drawn = np.asarray(drawn_M, np.float64)
    propensity = checked_probabilities("propensity", propensity_M, drawn.shape)
    decision = np.unique(np.asarray(decision_M), return_inverse=True)[1]
    if decision.shape != drawn.shape or drawn.ndim != 1 or not len(drawn):
        raise UserError(f"{decision.shape} decisions, {drawn.shape} draws: give one of each for every candidate.")
    sums, draws = np.bincount(decision, weights=propensity), np.bincount(decision, weights=drawn)
    if sums.max() > 1 + 1e-3 or draws.max() > 1:
        raise UserError(
            f"probabilities of one decision add up to {sums.max():.6g} and {draws.max():.0f} candidates of one were "
            "drawn: both are at most 1; give each position of a slate as a decision of its own."
        )
    return _calibration(propensity, drawn, decision, bins)


def action_calibration(
    logging_NA: npt.ArrayLike, action_N: npt.NDArray[np.integer[Any]], *, bins: int = 10
) -> PropensityCalibration:
    """Compare probabilities of all actions with the actions that were shown.

    Raises:
        UserError: as `propensity_calibration`.
    """
    logging = np.asarray(logging_NA, np.float64)
    drawn_NA = np.zeros(logging.shape)
    drawn_NA[np.arange(len(logging)), action_N] = 1
    decision_M = np.repeat(np.arange(len(logging)), logging.shape[1])
    return propensity_calibration(logging.ravel(), drawn_NA.ravel(), decision_M, bins=bins)


def _calibration(
    propensity_M: Floats, drawn_M: Floats, decision_M: npt.NDArray[np.intp], bins: int
) -> PropensityCalibration:
    order_M = np.argsort(propensity_M, kind="stable")
    upto_M = np.cumsum(propensity_M[order_M])
    inner = np.interp(np.linspace(0, upto_M[-1], bins + 1)[1:-1], upto_M, propensity_M[order_M])
    code_M = np.unique(np.searchsorted(np.unique(inner), propensity_M, side="right"), return_inverse=True)[1]
    count, decisions = int(code_M.max()) + 1, int(decision_M.max()) + 1
    cell_M = decision_M * count + code_M
    expected_NB = np.bincount(cell_M, weights=propensity_M, minlength=decisions * count).reshape(decisions, count)
    candidates_B = np.bincount(code_M, minlength=count)
    expected_B, drawn_B = expected_NB.sum(axis=0), np.bincount(code_M, weights=drawn_M, minlength=count)
    covariance_BB = np.diag(expected_B) - expected_NB.T @ expected_NB
    off_B, spread_B = drawn_B - expected_B, np.sqrt(np.maximum(np.diag(covariance_BB), 0))
    told = tuple(
        CalibrationBin(int(candidates), float(expected / candidates), float(drawn / candidates), float(deviation))
        for candidates, expected, drawn, deviation in zip(
            candidates_B, expected_B, drawn_B, _ratio(off_B, spread_B), strict=True
        )
    )
    # Counts over all bins are fixed where probabilities add up to 1: the covariance has then one rank less.
    values, vectors = np.linalg.eigh(covariance_BB)
    real = values > 1e-6 * max(float(values.max()), 1.0)
    statistic = float(((vectors.T[real] @ off_B) ** 2 / values[real]).sum())
    p_value = float(chi2.sf(statistic, int(real.sum()))) if real.any() else 1.0
    return PropensityCalibration(told, p_value, float(np.abs(off_B).sum() / max(float(expected_B.sum()), 1e-300)))


def _ratio(above_B: Floats, below_B: Floats) -> Floats:
    return np.divide(above_B, below_B, out=np.zeros_like(above_B), where=below_B > 0)
