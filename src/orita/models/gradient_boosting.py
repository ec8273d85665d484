"""Gradient-boosted trees over the features (LightGBM); ids are not looked at, so newcomers are no special case.

Legend: N rows, F features.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.models.boosting import Forest, Growth, grow
from orita.models.compose import Composer
from orita.models.config import LightGBMSection, ModelSection
from orita.models.early_stopping import check_can_stop
from orita.models.examples import Examples
from orita.models.graph import MODEL_FILE
from orita.models.learnable import check_can_learn
from orita.models.ranker import FitContext, FitReport

__all__ = ["GradientBoosting", "grow_classifier", "probabilities"]

_FIGURES = {"binary_logloss": "val_log_loss", "auc": "val_auc"}
_STOPPED_BY = {"none": "auc", "auc": "auc", "log_loss": "binary_logloss"}


class GradientBoosting:
    """The ranker of ``type: lightgbm``; a fit is short, so it takes no checkpoints and starts anew after a kill."""

    def __init__(self, model: ModelSection) -> None:
        self._section = model.lightgbm
        self._forest: Forest | None = None

    @property
    def type(self) -> str:
        """The model's type, as in the configuration."""
        return "lightgbm"

    def fit(self, train: Examples, val: Examples, context: FitContext) -> FitReport:
        """Grow trees on *train* until ``early_stopping`` ends it by *val*, or ``max_trees`` are there.

        Raises:
            UserError: there are no rows to learn from or to stop by, or only rows of one kind to learn from or to stop
                by AUC.
        """
        check_can_learn("lightgbm", train, val)
        grown = grow_classifier(self._section, train, val, context)
        self._forest = grown.forest
        return FitReport(grown.history, grown.params)

    def score(self, rows: Examples) -> npt.NDArray[np.float32]:
        """Return ``scores_N``, click probabilities."""
        return probabilities(self._fitted().margins(rows.x_NF))

    def export(self, folder: Path) -> None:
        """Write the trees as an ONNX tree ensemble into *folder*."""
        forest, graph = self._fitted(), Composer()
        margins = forest.compose(graph, graph.features(forest.width))
        graph.write(folder / MODEL_FILE, graph.add("Sigmoid", margins))

    def _fitted(self) -> Forest:
        if self._forest is None:
            raise UserError("the lightgbm ranker has not been fitted; call fit before score or export.")
        return self._forest


def grow_classifier(section: LightGBMSection, train: Examples, val: Examples, context: FitContext) -> Growth:
    """Grow trees whose margins are the logits of a click; what ``early_stopping`` names is looked at on *val*.

    Raises:
        UserError: growing is to stop by an AUC that *val* does not define, so that it would stop at the first tree.
    """
    check_can_stop(val.y_N, "lightgbm.early_stopping", section.early_stopping, "log_loss or none")
    first = _STOPPED_BY[section.early_stopping]
    metrics = [first, *(name for name in _FIGURES if name != first)]
    return grow(section, {"objective": "binary", "metric": metrics}, _FIGURES, train, val, context)


def probabilities(margins_N: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the logistic function of logits, float32; a logit beyond ±500 says no more than one of ±500."""
    scores_N: npt.NDArray[np.float32] = (1 / (1 + np.exp(-np.clip(margins_N, -500, 500)))).astype(np.float32)
    return scores_N
