"""What to expect of an item before anyone has met it: the click rate of items that share an attribute with it.

Legend: N rows, F features, V values of an attribute.

Of the attributes of items with few values (categories and flags), the one is taken that tells most of the training
labels: the least Akaike criterion, N · log loss + one for each value that was seen, against no attribute at all. So an
attribute of many values is taken only where it tells more than it costs. Rates are smoothed towards the rate of all
rows. A model of empirical Bayes (Efron and Morris, 1975) with the attribute's rate as the mean of the prior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.models.compose import Composer
from orita.models.examples import Examples
from orita.stats.metrics import log_loss

__all__ = ["ItemPrior"]


@dataclass(frozen=True, slots=True)
class ItemPrior:
    """Click rates by the value of one attribute.

    Attributes:
        rates_V: float32; the rate of rows whose value is missing or undeclared, then of value 0, 1, …
        column: of the attribute in the feature matrix; None: all items are expected to do alike.
        name: of the attribute, empty without one.
    """

    rates_V: npt.NDArray[np.float32]
    column: int | None = None
    name: str = ""

    @classmethod
    def fit(cls, rows: Examples, smoothing: float) -> ItemPrior:
        """Return the prior of *rows*; as many average rows as *smoothing* says are added to each value."""
        rate = np.float32(rows.y_N.mean(dtype=np.float64))
        best = cls(np.array([rate], np.float32))
        least = len(rows) * log_loss(rows.y_N, np.full(len(rows), rate))
        for place, column in enumerate(rows.schema.columns):
            if column.side != "item" or column.kind not in ("category", "flag"):
                continue
            values = column.cardinality if column.kind == "category" else 2
            index_N = _index(rows.x_NF[:, place], values)
            rows_V = np.bincount(index_N, minlength=1 + values)
            clicks_V = np.bincount(index_N, rows.y_N, minlength=1 + values)
            rates_V = ((clicks_V + float(rate) * smoothing) / (rows_V + smoothing)).astype(np.float32)
            cost = len(rows) * log_loss(rows.y_N, rates_V[index_N]) + int((rows_V > 0).sum()) - 1
            if cost < least:
                best, least = cls(rates_V, place, column.name), cost
        return best

    def of(self, x_NF: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return ``rates_N``, in [0, 1]."""
        if self.column is None:
            return np.full(len(x_NF), self.rates_V[0], np.float32)
        return self.rates_V[_index(x_NF[:, self.column], len(self.rates_V) - 1)]

    def compose(self, graph: Composer, features: str) -> str:
        """Add the rates to *graph*, over its value *features* [N, F]; return their name: of [N], or of one number."""
        if self.column is None:
            return graph.constant(self.rates_V[0])
        raw = graph.add("Gather", features, graph.constant(np.int64(self.column)), axis=1)
        low = graph.add("GreaterOrEqual", raw, graph.constant(np.float32(0)))
        high = graph.add("Less", raw, graph.constant(np.float32(len(self.rates_V) - 1)))
        declared = graph.add("Where", graph.add("And", low, high), raw, graph.constant(np.float32(-1)))
        index = graph.add("Add", graph.add("Cast", declared, to="int64"), graph.constant(np.int64(1)))
        return graph.add("Gather", graph.constant(self.rates_V), index)


def _index(value_N: npt.NDArray[np.float32], values: int) -> npt.NDArray[np.int64]:
    """Return 0 for a value that is missing or undeclared, else 1 + the value."""
    with np.errstate(invalid="ignore"):
        declared_N = (value_N >= 0) & (value_N < values)
    return np.where(declared_N, value_N, np.float32(-1)).astype(np.int64) + 1
