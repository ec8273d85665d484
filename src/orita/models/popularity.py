"""The baseline that any model must beat: how often an item is clicked, whoever asks.

Legend: N rows, F features.

score = (clicks + s · r) ÷ (rows + s), r the click rate of the training rows and s the smoothing. Clicks and rows of an
item are those that its features tell (``item_ctr`` and ``item_popularity``), else those of the training rows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.models.compose import Composer
from orita.models.config import ModelSection
from orita.models.examples import Examples
from orita.models.graph import ITEMS_FILE, MODEL_FILE
from orita.models.ranker import FitContext, FitReport
from orita.models.vocabulary import Vocabulary
from orita.stats.metrics import auc, log_loss

__all__ = ["Popularity"]

_RATE, _COUNT = "item_ctr", "item_popularity"


class Popularity:
    """The ranker of ``type: popularity``."""

    def __init__(self, model: ModelSection) -> None:
        self._smoothing = np.float32(model.popularity.smoothing)
        self._rate: np.float32 | None = None
        self._width = 0
        self._columns: tuple[int, int] | None = None
        self._items = Vocabulary(np.zeros(0, np.int64))
        self._scores_V = np.zeros(1, np.float32)

    @property
    def type(self) -> str:
        """The model's type, as in the configuration."""
        return "popularity"

    def fit(self, train: Examples, val: Examples, context: FitContext) -> FitReport:
        """Take the click rate of *train*, and the counts of its items where the features do not tell them.

        Raises:
            UserError: there are no rows to learn from.
        """
        if len(train) == 0:
            raise UserError("training was given 0 rows; give at least one, and both clicks and non-clicks.")
        self._rate = np.float32(train.y_N.mean(dtype=np.float64))
        self._width = len(train.schema)
        names = train.schema.names
        self._columns = (names.index(_RATE), names.index(_COUNT)) if {_RATE, _COUNT} <= set(names) else None
        if self._columns is None:
            self._count(train, self._rate)
        params: dict[str, object] = {"smoothing": float(self._smoothing), "from_features": self._columns is not None}
        if len(val) == 0:
            return FitReport([], params)
        scores_N = self.score(val)
        figures = {"val_log_loss": log_loss(val.y_N, scores_N), "val_auc": auc(val.y_N, scores_N)}
        history = {"epoch": 1.0, "train_loss": log_loss(train.y_N, self.score(train)), **figures, "seconds": 0.0}
        return FitReport([history], params)

    def score(self, rows: Examples) -> npt.NDArray[np.float32]:
        """Return ``scores_N``, smoothed click rates."""
        rate = self._fitted()
        if self._columns is None:
            return self._scores_V[self._items.rows(rows.items_N)]
        rate_N, count_N = (rows.x_NF[:, column] for column in self._columns)
        count_N = np.maximum(np.where(np.isnan(count_N) | np.isnan(rate_N), np.float32(0), count_N), np.float32(0))
        rate_N = np.where(np.isnan(rate_N), np.float32(0), rate_N)
        scores_N: npt.NDArray[np.float32] = np.clip(
            (rate_N * count_N + rate * self._smoothing) / (count_N + self._smoothing), np.float32(0), np.float32(1)
        )
        return scores_N

    def export(self, folder: Path) -> None:
        """Write the graph, and the items it counted itself, into *folder*."""
        rate, graph = self._fitted(), Composer()
        if self._columns is None:
            scores = graph.add("Gather", graph.constant(self._scores_V), graph.ids("items"))
            self._items.write(folder / ITEMS_FILE)
            graph.write(folder / MODEL_FILE, scores)
            return
        features = graph.features(self._width)
        zero, one, smoothing = (graph.constant(np.float32(v)) for v in (0, 1, self._smoothing))
        raw_rate, raw_count = (
            graph.add("Gather", features, graph.constant(np.int64(c)), axis=1) for c in self._columns
        )
        no_rate = graph.add("IsNaN", raw_rate)
        unknown = graph.add("Or", graph.add("IsNaN", raw_count), no_rate)
        count = graph.add("Max", graph.add("Where", unknown, zero, raw_count), zero)
        known_rate = graph.add("Where", no_rate, zero, raw_rate)
        clicks = graph.add("Add", graph.add("Mul", known_rate, count), graph.constant(rate * self._smoothing))
        share = graph.add("Div", clicks, graph.add("Add", count, smoothing))
        graph.write(folder / MODEL_FILE, graph.add("Clip", share, zero, one))

    def _count(self, train: Examples, rate: np.float32) -> None:
        self._items = Vocabulary.of(train.items_N)
        row_N = self._items.rows(train.items_N)
        rows_V = np.bincount(row_N, minlength=1 + len(self._items))
        clicks_V = np.bincount(row_N, train.y_N, minlength=1 + len(self._items))
        smoothing = float(self._smoothing)
        self._scores_V = ((clicks_V + float(rate) * smoothing) / (rows_V + smoothing)).astype(np.float32)

    def _fitted(self) -> np.float32:
        if self._rate is None:
            raise UserError("the popularity ranker has not been fitted; call fit before score or export.")
        return self._rate
