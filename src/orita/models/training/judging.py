"""What validation rows say after an epoch: figures of the label, by which training stops, and of every other head.

Legend: N rows, K rows that say an outcome, H heads.
"""

from __future__ import annotations

import numpy as np

from orita.models.training.batches import Rows
from orita.models.training.learner import Learner
from orita.stats.metrics import auc, log_loss

__all__ = ["judge"]

_EDGE = 1e-7


def judge(learner: Learner, val: Rows) -> dict[str, float]:
    """Return ``val_log_loss`` and ``val_auc`` of the label, and ``val_loss_<head>``, the mean loss, of each other head.

    The loss of a head of which no row says anything is NaN.
    """
    p_NH, y_NH = learner.score(val), val.y_NH.numpy()
    figures = {"val_log_loss": log_loss(y_NH[:, 0], p_NH[:, 0]), "val_auc": auc(y_NH[:, 0], p_NH[:, 0])}
    for column, name in list(enumerate(learner.heads))[1:]:
        known_N = np.isfinite(y_NH[:, column])
        y_K, p_K = y_NH[known_N, column], np.clip(p_NH[known_N, column], _EDGE, 1 - _EDGE)
        loss_K = -(y_K * np.log(p_K) + (1 - y_K) * np.log1p(-p_K))
        figures[f"val_loss_{name}"] = float(loss_K.mean(dtype=np.float64)) if len(loss_K) else float("nan")
    return figures
