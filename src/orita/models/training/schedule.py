"""How large a step is: a warm-up, then the schedule's shape, times a decay for each epoch that gained nothing."""

from __future__ import annotations

import math

from orita.models.config import TrainingSection

__all__ = ["learning_rate"]


def learning_rate(section: TrainingSection, step: int, steps: int, stalls: int) -> float:
    """Return the learning rate of one step.

    The cosine is that of Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017), without
    restarts; it and the straight line reach zero with the last step of the last epoch.

    Args:
        section: base rate, warm-up, shape, decay.
        step: 0 … *steps* - 1.
        steps: of all epochs, as if none was saved by early stopping.
        stalls: epochs without a gain so far.
    """
    base = section.learning_rate * section.learning_rate_decay**stalls
    if step < section.warmup_steps:
        return base * (step + 1) / section.warmup_steps
    done = (step - section.warmup_steps) / max(steps - section.warmup_steps, 1)
    match section.schedule:
        case "linear":
            return base * (1.0 - done)
        case "cosine":
            return base * (1.0 + math.cos(math.pi * done)) / 2
        case "constant":
            return base
