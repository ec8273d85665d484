"""LambdaMART: trees that learn the order of each user's items, not each click by itself (LightGBM's lambdarank).

Legend: N rows, L lists.

After Burges, "From RankNet to LambdaRank to LambdaMART: An Overview" (2010). The rows of a user are one list. Margins
say what comes before what within a list and nothing of how likely a click is, so they are turned into probabilities by
Platt's method: a logistic regression on the margin alone, fitted on the validation rows, which keeps every order.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.models.boosting import Forest, grow
from orita.models.calibration import fit_calibration
from orita.models.compose import Composer
from orita.models.config import ModelSection
from orita.models.examples import Examples
from orita.models.gradient_boosting import probabilities
from orita.models.graph import MODEL_FILE
from orita.models.learnable import check_can_learn
from orita.models.ranker import FitContext, FitReport

__all__ = ["LambdaMart"]

_OBJECTIVE = {
    "objective": "lambdarank",
    "metric": ["ndcg", "auc"],
    "eval_at": [10],
    "lambdarank_truncation_level": 30,
    "lambdarank_norm": False,  # a long list has more to teach than a short one
}
_FIGURES = {"ndcg@10": "val_ndcg_at_10", "auc": "val_auc"}
_LONGEST_LIST = 10_000  # LightGBM takes no more rows a list


class LambdaMart:
    """The ranker of ``type: lambdamart``; it reads the ``lightgbm`` settings."""

    def __init__(self, model: ModelSection) -> None:
        self._section = model.lightgbm
        self._fit: tuple[Forest, np.float32, np.float32] | None = None

    @property
    def type(self) -> str:
        """The model's type, as in the configuration."""
        return "lambdamart"

    def fit(self, train: Examples, val: Examples, context: FitContext) -> FitReport:
        """Grow trees on the lists of *train* until nDCG@10 on those of *val* has not gained for ``patience`` trees.

        It stops by nDCG whether ``early_stopping`` says ``auc`` or ``log_loss``: neither sees the order within a list.

        Raises:
            UserError: there are no rows to learn from or to stop by, only rows of one kind to learn from, or those to
                stop by cannot be calibrated on.
        """
        check_can_learn("lambdamart", train, val)
        (train, train_sizes_L), (val, val_sizes_L) = _in_lists(train), _in_lists(val)
        sizes = train_sizes_L, val_sizes_L
        grown = grow(self._section, _OBJECTIVE, _FIGURES, train, val, context, sizes=sizes)
        platt = fit_calibration("platt", val.y_N, probabilities(grown.forest.margins(val.x_NF)))
        self._fit = grown.forest, np.float32(platt.slope), np.float32(platt.offset)
        found = {"lists": len(train_sizes_L), "platt_slope": platt.slope, "platt_offset": platt.offset}
        return FitReport(grown.history, {**grown.params, **found})

    def score(self, rows: Examples) -> npt.NDArray[np.float32]:
        """Return ``scores_N``, calibrated click probabilities."""
        forest, slope, offset = self._fitted()
        return probabilities(forest.margins(rows.x_NF) * slope + offset)

    def export(self, folder: Path) -> None:
        """Write the trees and the calibration into *folder*."""
        (forest, slope, offset), graph = self._fitted(), Composer()
        margins = forest.compose(graph, graph.features(forest.width))
        logits = graph.add("Add", graph.add("Mul", margins, graph.constant(slope)), graph.constant(offset))
        graph.write(folder / MODEL_FILE, graph.add("Sigmoid", logits))

    def _fitted(self) -> tuple[Forest, np.float32, np.float32]:
        if self._fit is None:
            raise UserError("the lambdamart ranker has not been fitted; call fit before score or export.")
        return self._fit


def _in_lists(rows: Examples) -> tuple[Examples, npt.NDArray[np.int64]]:
    """Return *rows* with those of a user together, in their order, and the length of each list, [L]."""
    _, user_N, count_U = np.unique(rows.users_N, return_inverse=True, return_counts=True)
    sizes = [min(_LONGEST_LIST, count - at) for count in count_U.tolist() for at in range(0, count, _LONGEST_LIST)]
    return rows.take(np.argsort(user_N, kind="stable")), np.array(sizes, np.int64)
