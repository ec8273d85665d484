"""The contract of a model for the tasks beside ranking, on one screen.

A `Predictor` learns from rows, answers rows, and writes itself down so that `orita.models.tasks.load` answers the same
without the library it was trained with. `orita.testing.check_predictor` checks any implementation, yours too.

Legend: N rows, F features, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from orita.features.schema import FeatureSchema
from orita.models.ranker import FitContext, FitReport
from orita.models.tasks.config import Task

__all__ = ["Answers", "Predictor", "TableRows", "TextRows"]

Answers = npt.NDArray[np.float32]
"""``probabilities_NK``, rows that sum to 1, or for regression ``values_N``."""


@dataclass(frozen=True, slots=True)
class TableRows:
    """Rows of features.

    Attributes:
        schema: names and meaning of the columns of ``x_NF``.
        x_NF: float32 features, NaN where missing.
        y_N: int64 positions in the predictor's classes, or for regression finite float numbers.
    """

    schema: FeatureSchema
    x_NF: npt.NDArray[np.float32]
    y_N: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.y_N)


@dataclass(frozen=True, slots=True)
class TextRows:
    """Texts.

    Attributes:
        texts: as they were written; the model's own declarations say how they are read.
        y_N: int64 positions in the predictor's classes.
    """

    texts: Sequence[str]
    y_N: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y_N)


RowsT_contra = TypeVar("RowsT_contra", TableRows, TextRows, contravariant=True)


class Predictor(Protocol[RowsT_contra]):
    """A model that answers a row with class probabilities or with a number."""

    @property
    def task(self) -> Task:
        """What is asked: ``binary``, ``multiclass``, ``regression`` or ``text``."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes, in the order of the probabilities; none for regression."""
        ...

    def fit(self, train: RowsT_contra, val: RowsT_contra, context: FitContext) -> FitReport:
        """Learn from *train*; *val* chooses when to stop, or among declared settings."""
        ...

    def predict(self, rows: RowsT_contra) -> Answers:
        """Return ``probabilities_NK``, or for regression ``values_N``; labels are not looked at."""
        ...

    def export(self, folder: Path) -> None:
        """Write ``table.json``, ``schema.json`` and ``model.onnx``; or ``text.json`` and ``text.safetensors``.

        `orita.models.tasks.load.FORMS` has all forms; no other file is written.
        """
        ...
