"""Less noise from what was known before: CUPED, a regression on covariates that the treatment cannot have touched.

Legend: N units of control, M of treatment, F covariates.

Deng, Xu, Kohavi and Walker, "Improving the sensitivity of online controlled experiments by utilizing pre-experiment
data" (2013). One set of coefficients is fitted within arms, so the effect itself is not regressed away; the variance
falls by the squared (multiple) correlation ρ². A missing covariate is filled with its mean, and that it is missing is a
covariate too, so nobody is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError

__all__ = ["Adjusted", "cuped"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Adjusted:
    """Outcomes with the covariates' share taken out; compare them as any others.

    Attributes:
        control_N, treatment_M: adjusted outcomes, whose mean over both arms is that of the raw ones.
        coefficients: of the F covariates, then of those missing-value columns that vary.
        variance_reduction: share of the variance within arms that is gone, 0 … 1: ρ².
    """

    control_N: Floats
    treatment_M: Floats
    coefficients: Floats
    variance_reduction: float


def cuped(
    control_N: npt.ArrayLike,
    treatment_M: npt.ArrayLike,
    control_covariates_NF: npt.ArrayLike,
    treatment_covariates_MF: npt.ArrayLike,
) -> Adjusted:
    """Return the outcomes adjusted for covariates of before the first exposure.

    Args:
        control_N, treatment_M: finite outcomes, one a unit.
        control_covariates_NF, treatment_covariates_MF: one or several columns, NaN where missing; a single covariate
            may be one-dimensional.

    Raises:
        UserError: rows do not match, or there are not more units than covariates.
    """
    y_N, y_M = np.asarray(control_N, np.float64), np.asarray(treatment_M, np.float64)
    x_NF, x_MF = _columns(control_covariates_NF), _columns(treatment_covariates_MF)
    n = len(y_N)
    if len(x_NF) != n or len(x_MF) != len(y_M) or x_NF.shape[1] != x_MF.shape[1]:
        raise UserError(
            f"covariates of {x_NF.shape} and {x_MF.shape} do not fit {n} and {len(y_M)} outcomes; give a row of the "
            "same columns for each outcome."
        )
    x = _filled(np.concatenate([x_NF, x_MF]))
    if min(n, len(y_M)) <= x.shape[1] + 1:
        raise UserError(f"{x.shape[1]} covariates need more units than {min(n, len(y_M))} in an arm; use fewer.")
    y, x = np.concatenate([y_N, y_M]), x - x.mean(axis=0)
    arms = slice(0, n), slice(n, None)
    y_within = np.concatenate([y[arm] - y[arm].mean() for arm in arms])
    x_within = np.concatenate([x[arm] - x[arm].mean(axis=0) for arm in arms])
    coefficients = np.linalg.lstsq(x_within, y_within, rcond=None)[0]
    adjusted, spread = y - x @ coefficients, float(y_within @ y_within)
    rest = y_within - x_within @ coefficients
    reduction = max(1 - float(rest @ rest) / spread, 0.0) if spread else 0.0
    return Adjusted(adjusted[:n], adjusted[n:], coefficients, reduction)


def _columns(covariates: npt.ArrayLike) -> Floats:
    columns = np.asarray(covariates, np.float64)
    return columns[:, None] if columns.ndim == 1 else columns


def _filled(x_NF: Floats) -> Floats:
    """Return the columns, missing values at their mean, with a column for each pattern of missing that varies."""
    missing_NF = np.isnan(x_NF)
    known_F = np.maximum((~missing_NF).sum(axis=0), 1)
    mean_F = np.where(missing_NF, 0.0, x_NF).sum(axis=0) / known_F
    varies_F = missing_NF.any(axis=0) & ~missing_NF.all(axis=0)
    return np.column_stack([np.where(missing_NF, mean_F, x_NF), missing_NF[:, varies_F]])
