"""A trial under way: what its fit tells after each epoch or tree is kept, and may end it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from orita.core.progress import Bar
from orita.models.evaluation.figures import figure
from orita.models.search.config import SearchSection
from orita.models.search.pruning import Pruned, falls_behind
from orita.models.search.stopping import Request
from orita.models.search.study import Attempt, Study

__all__ = ["Budget", "Course", "Within"]

_STEPS = 50


@dataclass(frozen=True, slots=True)
class Budget:
    """How many epochs or trees there may be; a trial is looked at 50 times at most, so that looking costs little."""

    most: int

    @property
    def every(self) -> int:
        """Epochs or trees from one look to the next."""
        return math.ceil(self.most / _STEPS)

    @property
    def steps(self) -> int:
        """How many looks there may be."""
        return self.most // self.every


class Course:
    """How one trial goes.

    Args:
        study, attempt: the trial.
        budget: how long it may be; None: it is not ended early.
        section: which pruner, and which figure.
        request: whether to stop.
    """

    def __init__(
        self, study: Study, attempt: Attempt, budget: Budget | None, section: SearchSection, request: Request
    ) -> None:
        self._study, self._attempt, self._budget = study, attempt, budget
        self._section, self._request = section, request
        self._larger = bool(figure(section.metric).larger_is_better)
        self._history: list[dict[str, float]] = []

    def on_epoch(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Keep the figures of an epoch or tree.

        Raises:
            Pruned: the trial has fallen behind.
            Interrupted: somebody asked to stop.
        """
        from orita.models.training.interruption import Interrupted

        if figures and self._budget is not None:
            self._history.append({**figures, "epoch": float(epoch)})
        if self._request.made:
            raise Interrupted("the search was asked to stop.")
        budget, value = self._budget, self._figure(figures)
        if budget is None or value is None or epoch % budget.every:
            return
        self._study.report(self._attempt, epoch // budget.every, value)
        if self._section.pruner == "none":
            return
        trials = self._study.trials()
        mine = next(trial for trial in trials if trial.number == self._attempt.number)
        if falls_behind(self._section.pruner, mine, trials, larger_is_better=self._larger, most_steps=budget.steps):
            raise Pruned(f"trial {mine.number} fell behind at step {max(mine.steps)}")

    def thinned(self, told: Sequence[Mapping[str, float]] = ()) -> list[tuple[int, Mapping[str, float]]]:
        """Return number and figures of every epoch, or of 50 of many trees and the last.

        Of a type that is made of several, or trained in several processes, only its report knows: *told*.
        """
        rows = self._history or told
        every = math.ceil(len(rows) / _STEPS) or 1
        return [(n, row) for n, row in enumerate(rows, 1) if n % every == 0 or n == len(rows)]

    def _figure(self, figures: Mapping[str, float]) -> float | None:
        """Return the figure that is compared: the one that decides where the fit tells it, else one of its kind."""
        usual = "val_auc" if self._larger else "val_log_loss"
        return figures.get(f"val_{self._section.metric}", figures.get(usual))


class Within:
    """Progress of a fit, told in the note beside the bar of the search."""

    def __init__(self, bar: Bar, before: str, after: str) -> None:
        self._bar, self._before, self._after = bar, before, after

    @contextmanager
    def bar(self, title: str, total: float | None = None) -> Iterator[Bar]:
        """Open no bar, but tell what it would."""
        self.describe(title)
        yield self

    def advance(self, by: float = 1.0) -> None:
        """Tell nothing: the bar counts trials."""

    def describe(self, text: str) -> None:
        """Replace the note."""
        self._bar.describe(f"{self._before}{text}{self._after}")
