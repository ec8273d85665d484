"""How good is each head? Figures of its calibrated output against what happened.

Legend: N rows, K rows that say an outcome, H heads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.models.examples import Examples
from orita.models.objectives.heads import Head
from orita.stats.metrics import auc, expected_calibration_error, log_loss
from orita.stats.regression import r_squared, root_mean_squared_error

__all__ = ["JudgedHead", "judge_heads"]


@dataclass(frozen=True, slots=True)
class JudgedHead:
    """One head on the rows that say its outcome; a figure that they do not define is None.

    Attributes:
        name, kind: of the head.
        rows: how many say the outcome.
        promised, observed: mean of what the head foretells and of what happened, in the outcome's unit; amounts count
            up to the cap.
        auc: of a flag: chance that a positive is above a negative; of an amount: that a row with more than the median
            is above one without.
        log_loss, calibration_error: of a flag.
        rmse: of an amount, in its unit.
        explained: of an amount: share of the variance of what happened that the head explains; below 0: it is worse
            than the mean.
    """

    name: str
    kind: str
    rows: int
    promised: float | None = None
    observed: float | None = None
    auc: float | None = None
    log_loss: float | None = None
    calibration_error: float | None = None
    rmse: float | None = None
    explained: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        return asdict(self)


def judge_heads(heads: Sequence[Head], p_NH: npt.NDArray[np.float32], rows: Examples) -> list[JudgedHead]:
    """Return the figures of every head.

    Args:
        heads: the heads, in the order of the columns.
        p_NH: their calibrated outputs, in [0, 1] (`Package.score_heads`).
        rows: the rows, with their outcomes.

    Raises:
        UserError: the lengths disagree.
    """
    if p_NH.shape != (len(rows), len(heads)):
        raise UserError(f"there are outputs of the shape {p_NH.shape} for {len(rows)} rows and {len(heads)} heads.")
    return [_judged(head, p_NH[:, column], _told(head, rows)) for column, head in enumerate(heads)]


def _told(head: Head, rows: Examples) -> npt.NDArray[np.float32]:
    told_N = rows.y_N if head.name == rows.label else rows.outcomes.get(head.name)
    return np.full(len(rows), np.nan, np.float32) if told_N is None else told_N


def _judged(head: Head, p_N: npt.NDArray[np.float32], told_N: npt.NDArray[np.float32]) -> JudgedHead:
    known_N = np.isfinite(told_N)
    y_K, p_K = told_N[known_N], p_N[known_N]
    if len(y_K) == 0:
        return JudgedHead(head.name, head.kind, 0)
    if head.kind == "flag":
        figures = {
            "auc": auc(y_K, p_K),
            "log_loss": log_loss(y_K, p_K),
            "calibration_error": expected_calibration_error(y_K, p_K),
        }
        promised_K, observed_K = p_K.astype(np.float64), y_K.astype(np.float64)
    else:
        promised_K = p_K.astype(np.float64) * head.cap
        observed_K = np.minimum(y_K.astype(np.float64), head.cap)
        above_K = (observed_K > np.median(observed_K)).astype(np.float32)
        figures = {
            "auc": auc(above_K, p_K),
            "rmse": root_mean_squared_error(observed_K, promised_K),
            "explained": r_squared(observed_K, promised_K),
        }
    defined = {name: value if math.isfinite(value) else None for name, value in figures.items()}
    return JudgedHead(head.name, head.kind, len(y_K), float(promised_K.mean()), float(observed_K.mean()), **defined)
