"""The contract of a model, on one screen.

A `Ranker` learns from `Examples`, scores them, and writes itself down as an ONNX graph that scores the same without
the library it was trained with. It never knows where data or packages are stored. `orita.testing.check_ranker`
checks any implementation, yours too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from orita.core.progress import SILENT, Progress
from orita.models.examples import Examples

__all__ = ["FitContext", "FitReport", "Ranker"]


@dataclass(frozen=True, slots=True)
class FitContext:
    """What a fit is given beside its data.

    Attributes:
        progress: where to draw progress; by default nowhere.
        checkpoints: a folder for checkpoints; a fit that finds one there goes on from it. None: no checkpoints.
        seed: fixes every random choice.
        title: what progress is called.
        on_epoch: told the number, from 1, and the figures of every epoch or tree, also of those that ended before a
            checkpoint; what it raises ends the fit. None: nobody is told. A type need not tell.
    """

    progress: Progress = SILENT
    checkpoints: Path | None = None
    seed: int = 0
    title: str = "Train"
    on_epoch: Callable[[int, Mapping[str, float]], None] | None = None


@dataclass(frozen=True, slots=True)
class FitReport:
    """What happened in a fit: figures for people and for the run's log.

    Attributes:
        history: one dict an epoch or round: ``epoch``, ``train_loss``, ``val_log_loss``, ``val_auc``, ``seconds``.
        params: what was fitted with, flat.
        resumed_from: the epoch a killed fit went on from, or None.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    params: dict[str, object] = field(default_factory=dict)
    resumed_from: int | None = None


class Ranker(Protocol):
    """A model that scores (user, item) rows."""

    @property
    def type(self) -> str:
        """The model's type as in ``model_config.yaml``, such as ``two_tower``; `config.MODEL_TYPES` has all."""
        ...

    def fit(self, train: Examples, val: Examples, context: FitContext) -> FitReport:
        """Learn from *train*; *val* is for early stopping and nothing else.

        Orita never asks it of *train* without clicks or without rows that have none, nor of an empty *val*: one
        sentence refuses those for every type (`orita.models.learnable`). A *val* of one kind may come; a ranker that
        cannot stop by it refuses it by a `UserError`.
        """
        ...

    def score(self, rows: Examples) -> npt.NDArray[np.float32]:
        """Return ``scores_N``: click probabilities in [0, 1], in the order of *rows*; labels are not looked at."""
        ...

    def export(self, folder: Path) -> None:
        """Write ``model.onnx`` into *folder*, and ``users.parquet`` / ``items.parquet`` if ids are embedded.

        Graph inputs, each optional, are ``features`` (float32, [N, F], NaN where missing), ``users`` and ``items``
        (int64, [N]: 1 + position in the vocabulary file, 0 for an unknown id); the output is ``scores`` (float32, [N]).
        A graph may name the dimension of ``users`` ``U`` instead of ``N``: it then also takes one user for all rows,
        and reads user and context features from the first row alone.
        """
        ...
