"""A trial as it is kept, and what the trials of a study say together.

Legend: T trials, K parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np

__all__ = ["State", "Trial", "best_of", "luck_of"]

State = Literal["complete", "pruned", "failed", "interrupted", "running", "waiting"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One set of values that was tried; a trial that was killed and tried again is one trial.

    Attributes:
        number: 1, 2, …
        values: by key; keys whose conditions did not hold are not there.
        type: the type of model.
        state: ``interrupted`` will be tried again.
        value: the figure that decides; None unless it is complete.
        steps: the figure on validation rows after each epoch, or each few trees, as pruning saw it.
        interval: low and high of the figure, users resampled; None where it has none.
        parts: the figure in each part of the rows it was judged on: two halves of the users, or the folds.
        figures: every other figure.
        error: why it failed.
        run_id: its run in MLflow.
        started_at: UTC.
        seconds: how long it took.
        attempts: how often it was begun.
    """

    number: int
    values: Mapping[str, Any]
    type: str
    state: State
    value: float | None = None
    steps: Mapping[int, float] = field(default_factory=dict)
    interval: tuple[float, float] | None = None
    parts: tuple[float, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    run_id: str = ""
    started_at: datetime | None = None
    seconds: float | None = None
    attempts: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return the trial as plain JSON values."""
        started = self.started_at.isoformat() if self.started_at else None
        return {**asdict(self), "started_at": started}


def best_of(trials: Sequence[Trial], *, larger_is_better: bool) -> Trial | None:
    """Return the complete trial with the best figure, the earliest of equals; None where there is none."""
    complete = [trial for trial in trials if trial.value is not None]
    sign = 1 if larger_is_better else -1
    return max(complete, key=lambda trial: sign * (trial.value or 0.0), default=None)


def luck_of(trials: Sequence[Trial], *, larger_is_better: bool) -> float | None:
    """Return how much of the best figure is luck of the choice, ≥ 0 in its unit; None where parts are not known.

    For each part of the rows, the trial that is best on the other parts is read on this one; the mean of these readings
    is what choosing comes to on rows that did not choose. The luck is what the best trial over all parts has above it:
    nested cross-validation's argument (Varma & Simon, "Bias in error estimation when using cross-validation for model
    selection", 2006), applied to trials that are fitted already. What early stopping gained there is not in it.
    """
    kept = [trial.parts for trial in trials if trial.value is not None and len(trial.parts) > 1]
    if not kept or len({len(parts) for parts in kept}) > 1:
        return None
    parts_TK = np.array(kept, np.float64) * (1 if larger_is_better else -1)
    others_TK = parts_TK.sum(axis=1, keepdims=True) - parts_TK
    apart_K = parts_TK[np.argmax(others_TK, axis=0), np.arange(parts_TK.shape[1])]
    return max(0.0, float(parts_TK.mean(axis=1).max() - apart_K.mean()))
