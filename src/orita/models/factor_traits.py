"""Traits of people and of items, such as an age or a genre, cut into ranges, and what each range leans to.

Legend: N rows, F features, T traits, C ranges, U people or items, D dimensions of what is leaned to.

Somebody who has answered nothing yet is not quite nobody: their traits say where tastes of people like them lie. A
lean is the sum of one vector a trait, so a graph needs a comparison and a product, whatever the kinds of the traits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError, closest
from orita.features.schema import FeatureSchema
from orita.models.compose import Composer

__all__ = ["Traits"]

Floats = npt.NDArray[np.float64]
Values = npt.NDArray[np.float32]

_FEW = 24  # a trait of at most so many values has a range for each
_PARTS = 8  # else ranges hold about as many rows each


@dataclass(frozen=True, slots=True)
class Traits:
    """Ranges of features, and their leans.

    Attributes:
        column_C: the feature of each range.
        low_C, high_C: a value *v* is in the range where low ≤ *v* < high; a missing one is in none.
        lean_CD: what a row in the range leans to.
    """

    column_C: npt.NDArray[np.int64]
    low_C: Values
    high_C: Values
    lean_CD: Floats

    @classmethod
    def of(cls, schema: FeatureSchema, traits: Sequence[str], x_NF: Values) -> Traits:
        """Cut the values that rows have; nothing is leaned to yet.

        Args:
            schema: of the rows.
            traits: names of features; ``genre`` also stands for ``genre_Drama`` and all others that begin so.
            x_NF: the rows.

        Raises:
            UserError: there is no such feature.
        """
        columns = [i for trait in traits for i in _columns(schema, trait)]
        cut = [(column, _edges(x_NF[:, column])) for column in columns]
        column_C = [column for column, edges in cut for _ in edges[1:]]
        low_C = [low for _, edges in cut for low in edges[:-1]]
        high_C = [high for _, edges in cut for high in edges[1:]]
        return cls(
            np.array(column_C, np.int64),
            np.array(low_C, np.float32),
            np.array(high_C, np.float32),
            np.zeros((len(column_C), 0)),
        )

    def flags(self, x_NF: Values) -> Floats:
        """Return in which ranges each row is, 0 or 1, [N, C]."""
        value_NC = x_NF[:, self.column_C]
        with np.errstate(invalid="ignore"):
            return ((value_NC >= self.low_C) & (value_NC < self.high_C)).astype(np.float64)

    def leaning(self, lean_CD: Floats) -> Traits:
        """Return the same ranges with leans."""
        return replace(self, lean_CD=lean_CD)

    def apply(self, x_NF: Values) -> Floats:
        """Return what each row leans to, [N, D]."""
        return self.flags(x_NF) @ self.lean_CD

    def compose(self, graph: Composer, features: str) -> str:
        """Add the same to *graph*, for *features* float32 [N, F]; return [N, D], float64."""
        values = graph.add("Gather", features, graph.constant(self.column_C), axis=1)
        above = graph.add("GreaterOrEqual", values, graph.constant(self.low_C))
        below = graph.add("Less", values, graph.constant(self.high_C))
        flags = graph.add("Cast", graph.add("And", above, below), to="float64")
        return graph.add("MatMul", flags, graph.constant(self.lean_CD))


def _columns(schema: FeatureSchema, trait: str) -> list[int]:
    found = [i for i, name in enumerate(schema.names) if name == trait or name.startswith(f"{trait}_")]
    if not found:
        raise UserError(
            f"model.factors has the trait {trait!r}, no feature of these rows. {closest(trait, schema.names)}"
        )
    return found


def _edges(value_N: Values) -> Values:
    """Return where ranges begin and end, both ends infinite; none for a feature without a value."""
    finite_N = value_N[np.isfinite(value_N)]
    value_V = np.unique(finite_N)
    if not len(value_V):
        return np.zeros(0, np.float32)
    if len(value_V) > _FEW:
        parts = np.arange(1, _PARTS) / _PARTS
        value_V = np.unique(np.quantile(finite_N, parts, method="higher").astype(np.float32))
        return np.concatenate([[-np.inf], value_V, [np.inf]]).astype(np.float32)
    return np.concatenate([[-np.inf], value_V[1:], [np.inf]]).astype(np.float32)
