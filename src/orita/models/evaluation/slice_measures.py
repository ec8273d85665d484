"""What "worse" means in a slice: a loss that is larger, or an AUC that is smaller, than on all rows.

Legend: N rows, L cells.
"""

from __future__ import annotations

import math
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from orita.core.errors import UserError, closest
from orita.models.evaluation.scored_rows import Scores
from orita.stats.cells import cell_mean_influence
from orita.stats.metrics import row_log_loss
from orita.stats.placements import auc_influence, cell_auc_influence

__all__ = ["Measure", "SliceMeasure", "slice_measure"]

Measure = Literal["log_loss", "surprise", "auc"]
_LEAST_OF_A_KIND = 10

Floats = npt.NDArray[np.float64]
Cells = npt.NDArray[np.int32]


class SliceMeasure(Protocol):
    """A figure in cells, beside the same figure on all rows: ``overall``, with each row's influence ``overall_N``."""

    overall: float
    overall_N: Floats

    def influence(self, cell_N: Cells, cells: int) -> tuple[Floats, Floats]:
        """Return ``value_L`` in each cell and ``influence_N`` of each row on its own cell's value."""
        ...

    def worse(self, value_L: Floats) -> Floats:
        """Return by how much values are worse than the one of all rows; negative: better."""
        ...

    def effect(self, value_L: Floats) -> Floats:
        """Return by how much values are worse, in standard deviations."""
        ...

    def testable(self, rows_L: npt.NDArray[Any], positives_L: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Tell which cells can be tested."""
        ...


def slice_measure(name: Measure, y_N: npt.NDArray[Any], scores_N: Scores) -> SliceMeasure:
    """Return the measure of that name on these rows; an AUC of rows of one kind is NaN.

    Raises:
        UserError: there is none of that name.
    """
    if name not in get_args(Measure):
        raise UserError(f"measure has the value {name!r}. {closest(name, get_args(Measure))}")
    if name == "auc":
        return _WithinAuc(y_N, scores_N)
    loss_N = row_log_loss(y_N, scores_N)
    return _MeanOfRows(loss_N - _promised(scores_N) if name == "surprise" else loss_N)


class _MeanOfRows:
    def __init__(self, values_N: Floats) -> None:
        self._values_N, self._deviation = values_N, float(values_N.std())
        self.overall = float(values_N.mean())
        self.overall_N = (values_N - self.overall) / len(values_N)

    def influence(self, cell_N: Cells, cells: int) -> tuple[Floats, Floats]:
        return cell_mean_influence(self._values_N, cell_N, cells)

    def worse(self, value_L: Floats) -> Floats:
        return value_L - self.overall

    def effect(self, value_L: Floats) -> Floats:
        return (value_L - self.overall) / self._deviation if self._deviation else np.zeros(len(value_L))

    def testable(self, rows_L: npt.NDArray[Any], positives_L: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        several_L: npt.NDArray[np.bool_] = rows_L > 1
        return several_L


class _WithinAuc:
    def __init__(self, y_N: npt.NDArray[Any], scores_N: Scores) -> None:
        self._y_N, self._scores_N, self._order_N = y_N, scores_N, np.argsort(scores_N)
        self.overall, self.overall_N = auc_influence(y_N, scores_N)

    def influence(self, cell_N: Cells, cells: int) -> tuple[Floats, Floats]:
        return cell_auc_influence(self._y_N, self._order_N, self._scores_N, cell_N, cells)

    def worse(self, value_L: Floats) -> Floats:
        return self.overall - value_L

    def effect(self, value_L: Floats) -> Floats:
        # If the scores of both kinds are normal with one deviation, AUC = Φ(d / √2), d the distance of their means.
        overall, kept_L = np.clip(self.overall, 1e-6, 1 - 1e-6), np.clip(value_L, 1e-6, 1 - 1e-6)
        distance_L: Floats = math.sqrt(2) * (norm.ppf(overall) - norm.ppf(kept_L))
        return distance_L

    def testable(self, rows_L: npt.NDArray[Any], positives_L: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        both_L: npt.NDArray[np.bool_] = np.minimum(positives_L, rows_L - positives_L) >= _LEAST_OF_A_KIND
        return both_L


def _promised(scores_N: Scores) -> Floats:
    """Return the log loss that is expected of each row if its score is the true probability."""
    p_N = np.clip(scores_N.astype(np.float64), 1e-7, 1 - 1e-7)
    entropy_N: Floats = -(p_N * np.log(p_N) + (1 - p_N) * np.log(1 - p_N))
    return entropy_N
