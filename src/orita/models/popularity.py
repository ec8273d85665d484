"""The baseline that any model must beat: how often an item is clicked, whoever asks.

Legend: N rows, F features, V rows of a vocabulary.

score = (clicks + s · r) ÷ (rows + s), r what is expected of the item before anyone has met it (`ItemPrior`: the click
rate of items that share an attribute with it) and s the smoothing. Clicks and rows of an item are those that its
features tell (``item_ctr`` and ``item_popularity``), else those of the training rows.
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
from orita.models.item_prior import ItemPrior
from orita.models.learnable import check_can_learn
from orita.models.ranker import FitContext, FitReport
from orita.models.vocabulary import Vocabulary
from orita.stats.metrics import auc, log_loss

__all__ = ["Popularity"]

_RATE, _COUNT = "item_ctr", "item_popularity"

Floats = npt.NDArray[np.float32]


class Popularity:
    """The ranker of ``type: popularity``."""

    def __init__(self, model: ModelSection) -> None:
        self._smoothing = np.float32(model.popularity.smoothing)
        self._prior: ItemPrior | None = None
        self._width = 0
        self._columns: tuple[int, int] | None = None
        self._items = Vocabulary(np.zeros(0, np.int64))
        self._clicks_V = self._rows_V = np.zeros(1, np.float32)

    @property
    def type(self) -> str:
        """The model's type, as in the configuration."""
        return "popularity"

    def fit(self, train: Examples, val: Examples, context: FitContext) -> FitReport:
        """Take the click rates of *train*, and the counts of its items where the features do not tell them.

        Raises:
            UserError: there are no rows to learn from or to judge by, or only rows of one kind to learn from.
        """
        check_can_learn("popularity", train, val)
        self._prior = ItemPrior.fit(train, float(self._smoothing))
        self._width = len(train.schema)
        names = train.schema.names
        self._columns = (names.index(_RATE), names.index(_COUNT)) if {_RATE, _COUNT} <= set(names) else None
        if self._columns is None:
            self._count(train)
        params: dict[str, object] = {
            "smoothing": float(self._smoothing),
            "from_features": self._columns is not None,
            "expected_by": self._prior.name,
        }
        scores_N = self.score(val)
        figures = {"val_log_loss": log_loss(val.y_N, scores_N), "val_auc": auc(val.y_N, scores_N)}
        history = {"epoch": 1.0, "train_loss": log_loss(train.y_N, self.score(train)), **figures, "seconds": 0.0}
        return FitReport([history], params)

    def score(self, rows: Examples) -> Floats:
        """Return ``scores_N``, smoothed click rates."""
        expected_N = self._fitted().of(rows.x_NF)
        clicks_N, rows_N = self._counts(rows)
        scores_N: Floats = np.clip(
            (clicks_N + expected_N * self._smoothing) / (rows_N + self._smoothing), np.float32(0), np.float32(1)
        )
        return scores_N

    def export(self, folder: Path) -> None:
        """Write the graph, and the items it counted itself, into *folder*."""
        prior, graph = self._fitted(), Composer()
        # Items that were counted need no features, unless an attribute tells what to expect.
        features = graph.features(self._width) if self._columns or prior.column is not None else ""
        expected, smoothing = prior.compose(graph, features), graph.constant(self._smoothing)
        clicks, count = self._compose_counts(graph, features)
        clicks = graph.add("Add", clicks, graph.add("Mul", expected, smoothing))
        share = graph.add("Div", clicks, graph.add("Add", count, smoothing))
        zero, one = graph.constant(np.float32(0)), graph.constant(np.float32(1))
        graph.write(folder / MODEL_FILE, graph.add("Clip", share, zero, one))
        if self._columns is None:
            self._items.write(folder / ITEMS_FILE)

    def _counts(self, rows: Examples) -> tuple[Floats, Floats]:
        """Return the clicks and the rows of each row's item."""
        if self._columns is None:
            at_N = self._items.rows(rows.items_N)
            return self._clicks_V[at_N], self._rows_V[at_N]
        rate_N, count_N = (rows.x_NF[:, column] for column in self._columns)
        count_N = np.maximum(np.where(np.isnan(count_N) | np.isnan(rate_N), np.float32(0), count_N), np.float32(0))
        return np.where(np.isnan(rate_N), np.float32(0), rate_N) * count_N, count_N

    def _compose_counts(self, graph: Composer, features: str) -> tuple[str, str]:
        if self._columns is None:
            items = graph.ids("items")
            return (
                graph.add("Gather", graph.constant(self._clicks_V), items),
                graph.add("Gather", graph.constant(self._rows_V), items),
            )
        zero = graph.constant(np.float32(0))
        raw_rate, raw_count = (
            graph.add("Gather", features, graph.constant(np.int64(c)), axis=1) for c in self._columns
        )
        no_rate = graph.add("IsNaN", raw_rate)
        unknown = graph.add("Or", graph.add("IsNaN", raw_count), no_rate)
        count = graph.add("Max", graph.add("Where", unknown, zero, raw_count), zero)
        return graph.add("Mul", graph.add("Where", no_rate, zero, raw_rate), count), count

    def _count(self, train: Examples) -> None:
        self._items = Vocabulary.of(train.items_N)
        row_N, rows = self._items.rows(train.items_N), 1 + len(self._items)
        self._rows_V = np.bincount(row_N, minlength=rows).astype(np.float32)
        self._clicks_V = np.bincount(row_N, train.y_N, minlength=rows).astype(np.float32)

    def _fitted(self) -> ItemPrior:
        if self._prior is None:
            raise UserError("the popularity ranker has not been fitted; call fit before score or export.")
        return self._prior
