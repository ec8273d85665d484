"""When training has stopped gaining: the best epoch so far, and how long ago the last real gain was."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from orita.models.config import EarlyStoppingSection

__all__ = ["Stopping"]


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
