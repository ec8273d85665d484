"""When training has stopped gaining: the best epoch so far, and how long ago the last real gain was.

Legend: N rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from orita.core.errors import UserError
from orita.models.config import EarlyStoppingSection

__all__ = ["Stopping", "check_can_stop"]


def check_can_stop(y_N: npt.NDArray[Any], key: str, metric: str, others: str) -> None:
    """Refuse validation rows that do not define the figure that is to end a training, before it begins.

    Without the figure no epoch is better than another: training would end by patience alone, with whatever weights.

    Args:
        y_N: labels of the validation rows, of which there are some.
        key: which configuration key names *metric*.
        metric: ``auc``, or a figure that rows of one kind define.
        others: what the key may say instead.

    Raises:
        UserError: the metric is ``auc``, and they are of one kind.
    """
    positives = int((y_N > 0).sum())
    if metric == "auc" and positives in (0, len(y_N)):
        raise UserError(
            f"{key} is 'auc', and of {len(y_N)} validation rows {positives} are positive: an AUC needs both kinds. "
            f"Give more validation rows, or set it to {others}."
        )


@dataclass(frozen=True, slots=True)
class Stopping:
    """Where a training stands; a value is better when it is larger.

    Attributes:
        best: the best value seen.
        best_epoch: its epoch.
        mark: the value that a gain is measured from.
        waited: epochs since a gain above ``min_delta``.
        stalls: epochs without one, in all.
    """

    best: float = -math.inf
    best_epoch: int = -1
    mark: float = -math.inf
    waited: int = 0
    stalls: int = 0

    def after(self, epoch: int, value: float, section: EarlyStoppingSection) -> Stopping:
        """Return the state after *epoch* ended with *value*; a value that is not a number is never better."""
        gained = value > self.mark + section.min_delta
        if gained:
            state = replace(self, mark=value, waited=0)
        else:
            state = replace(self, waited=self.waited + 1, stalls=self.stalls + 1)
        return replace(state, best=value, best_epoch=epoch) if value > self.best else state

    def over(self, section: EarlyStoppingSection) -> bool:
        """Tell whether the patience is spent."""
        return self.waited >= section.patience
