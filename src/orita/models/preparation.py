"""How raw features become the inputs of a network: fitted on training rows, the same in arrays and in a graph.

Legend: N rows, F features, D dense inputs, C categories.

Numbers of the sides that are rounded → eight significant bits; counts → log(1 + x); then every number is standardised
with the training mean and deviation, a missing one becomes the mean, and a feature that was ever missing in training
gets a flag that says so. A category becomes an index: 0 for missing or undeclared, else 1 + its declared position.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.features.schema import FeatureSchema, Side
from orita.models.compose import Composer
from orita.models.graph import ROUNDED_FEATURES
from orita.models.rounding import rounded

__all__ = ["Preparation", "Prepared", "PreparedValues"]

_LIMIT = np.float32(8.0)  # deviations: a wild value may shout, not deafen


@dataclass(frozen=True, slots=True)
class Prepared:
    """Inputs of a network: ``dense_ND`` float32 without NaN, ``categories_NC`` int64."""

    dense_ND: npt.NDArray[np.float32]
    categories_NC: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Preparation:
    """Fitted constants of the preparation.

    Attributes:
        width: F, the columns of the matrix.
        sides: side of each dense input (values first, then flags).
        numbers: matrix columns of the values.
        is_rounded: which values are rounded.
        is_count: which values are counts.
        mean, std: of each value after the logarithm, float32.
        flagged: positions among the values that have a missing flag.
        categories: matrix columns of the categories.
        category_sides: side of each category.
        cardinalities: declared values of each category.
    """

    width: int
    sides: tuple[Side, ...]
    numbers: npt.NDArray[np.int64]
    is_rounded: npt.NDArray[np.bool_]
    is_count: npt.NDArray[np.bool_]
    mean: npt.NDArray[np.float32]
    std: npt.NDArray[np.float32]
    flagged: npt.NDArray[np.int64]
    categories: npt.NDArray[np.int64]
    category_sides: tuple[Side, ...]
    cardinalities: npt.NDArray[np.int64]

    @classmethod
    def fit(
        cls, schema: FeatureSchema, x_NF: npt.NDArray[np.float32], rounded_sides: Collection[Side] = ()
    ) -> Preparation:
        """Return the preparation of *schema* with the means and deviations of *x_NF*.

        Args:
            schema: the columns of *x_NF*.
            x_NF: the training rows.
            rounded_sides: whose numbers are rounded (`orita.models.rounding`).
        """
        columns = schema.columns
        numbers = np.array([i for i, c in enumerate(columns) if c.kind != "category"], np.int64)
        categories = np.array([i for i, c in enumerate(columns) if c.kind == "category"], np.int64)
        is_count = np.array([columns[i].kind == "count" for i in numbers], np.bool_)
        mean, std, flagged = np.zeros(len(numbers)), np.ones(len(numbers)), []
        for d, column in enumerate(numbers):
            known_K = _finite(_logged(x_NF[:, column], is_count[d : d + 1]))
            if np.isnan(x_NF[:, column]).any():
                flagged.append(d)
            if len(known_K):
                mean[d] = known_K.mean(dtype=np.float64)
                std[d] = known_K.std(dtype=np.float64)
        std[std < 1e-6] = 1.0
        value_sides = [columns[i].side for i in numbers]
        return cls(
            width=len(schema),
            sides=(*value_sides, *(value_sides[d] for d in flagged)),
            numbers=numbers,
            is_rounded=np.array([side in rounded_sides for side in value_sides], np.bool_),
            is_count=is_count,
            mean=mean.astype(np.float32),
            std=std.astype(np.float32),
            flagged=np.array(flagged, np.int64),
            categories=categories,
            category_sides=tuple(columns[i].side for i in categories),
            cardinalities=np.array([columns[i].cardinality for i in categories], np.int64),
        )

    def dense_of(self, sides: Iterable[Side]) -> npt.NDArray[np.int64]:
        """Return the dense inputs that belong to *sides*."""
        wanted = set(sides)
        return np.array([d for d, side in enumerate(self.sides) if side in wanted], np.int64)

    def categories_of(self, sides: Iterable[Side]) -> list[int]:
        """Return the positions, among the categories, of those that belong to *sides*."""
        wanted = set(sides)
        return [c for c, side in enumerate(self.category_sides) if side in wanted]

    def apply(self, x_NF: npt.NDArray[np.float32]) -> Prepared:
        """Return the inputs for the rows of *x_NF*."""
        values_ND = x_NF[:, self.numbers]
        if self.is_rounded.any():
            values_ND = rounded(values_ND, self.is_rounded)
        missing_ND = np.isnan(values_ND)
        with np.errstate(over="ignore"):  # what overflows is clipped next
            scaled_ND = (_logged(values_ND, self.is_count) - self.mean) / self.std
        scaled_ND = np.where(missing_ND, np.float32(0), np.clip(scaled_ND, -_LIMIT, _LIMIT))
        dense_ND = np.concatenate([scaled_ND, missing_ND[:, self.flagged].astype(np.float32)], axis=1)
        raw_NC = x_NF[:, self.categories]
        with np.errstate(invalid="ignore"):
            known_NC = (raw_NC >= 0) & (raw_NC < self.cardinalities)
        index_NC = np.where(known_NC, raw_NC, np.float32(-1)).astype(np.int64) + 1
        return Prepared(np.ascontiguousarray(dense_ND, np.float32), np.ascontiguousarray(index_NC))

    def compose(self, graph: Composer, features: str) -> PreparedValues:
        """Add the preparation of the graph value *features*, [N, F], to *graph*."""
        if self.is_rounded.any():
            is_rounded_F = np.isin(np.arange(self.width), self.numbers[self.is_rounded])
            coarse = graph.add("Cast", graph.add("Cast", features, to="bfloat16"), to="float32")
            coarse = graph.add("Where", graph.constant(is_rounded_F), coarse, features)
            features = graph.named(ROUNDED_FEATURES, coarse)
        mean_F, std_F, is_count_F = np.zeros(self.width), np.ones(self.width), np.zeros(self.width, np.bool_)
        mean_F[self.numbers], std_F[self.numbers], is_count_F[self.numbers] = self.mean, self.std, self.is_count
        missing = graph.add("IsNaN", features)
        one, zero = graph.constant(np.float32(1)), graph.constant(np.float32(0))
        values = features
        if is_count_F.any():
            logged = graph.add("Log", graph.add("Add", graph.add("Max", features, zero), one))
            values = graph.add("Where", graph.constant(is_count_F), logged, features)
        centred = graph.add("Sub", values, graph.constant(mean_F.astype(np.float32)))
        scaled = graph.add("Div", centred, graph.constant(std_F.astype(np.float32)))
        clipped = graph.add("Clip", scaled, graph.constant(-_LIMIT), graph.constant(_LIMIT))
        dense = graph.add("Where", missing, zero, clipped)
        if len(self.flagged):
            dense = graph.add("Concat", dense, graph.add("Cast", missing, to="float32"), axis=1)
        return PreparedValues(self, graph, features, dense)

    @property
    def dense_place(self) -> npt.NDArray[np.int64]:
        """Where each dense input stands in the dense value of a graph."""
        return np.concatenate([self.numbers, self.width + self.numbers[self.flagged]])


class PreparedValues:
    """The prepared features of some rows, as values of a graph.

    Attributes:
        preparation: how they were prepared.
        graph: the graph.
        features: the features as they came, those that are rounded rounded.
        dense: every column prepared, then, if any has one, its missing flag: of these the dense inputs are those at
            `Preparation.dense_place`.
    """

    def __init__(self, preparation: Preparation, graph: Composer, features: str, dense: str) -> None:
        self.preparation, self.graph, self.features, self.dense = preparation, graph, features, dense
        self._categories: str | None = None

    @property
    def width(self) -> int:
        """The columns of `dense`."""
        return self.preparation.width * (2 if len(self.preparation.flagged) else 1)

    def head(self, like: str) -> PreparedValues:
        """Return as many first rows as *like* has."""
        features, dense = (self.graph.head(value, like) for value in (self.features, self.dense))
        return PreparedValues(self.preparation, self.graph, features, dense)

    def category(self, c: int) -> str:
        """Return the index, [N], of the category at that position."""
        graph, preparation = self.graph, self.preparation
        if self._categories is None:
            raw = graph.add("Gather", self.features, graph.constant(preparation.categories), axis=1)
            low = graph.add("GreaterOrEqual", raw, graph.constant(np.float32(0)))
            high = graph.add("Less", raw, graph.constant(preparation.cardinalities.astype(np.float32)))
            known = graph.add("And", low, high)
            index = graph.add("Cast", graph.add("Where", known, raw, graph.constant(np.float32(-1))), to="int64")
            self._categories = graph.add("Add", index, graph.constant(np.int64(1)))
        return graph.add("Gather", self._categories, graph.constant(np.int64(c)), axis=1)

    def is_value(self, categories: Sequence[int]) -> str:
        """Return for each value of each of the *categories*, side by side, whether a row has it: 1 or 0."""
        cardinalities = self.preparation.cardinalities[categories]
        columns = np.repeat(self.preparation.categories[categories], cardinalities)
        values = np.concatenate([np.arange(many, dtype=np.float32) for many in cardinalities])
        raw = self.graph.add("Gather", self.features, self.graph.constant(columns), axis=1)
        return self.graph.add("Cast", self.graph.add("Equal", raw, self.graph.constant(values)), to="float32")

    def select(self, inputs: npt.NDArray[np.int64]) -> str:
        """Take the dense inputs at the given positions.

        A product with zeros and ones: exact, as all values are finite, and ten times faster than gathering columns.
        """
        chosen = np.zeros((self.width, len(inputs)), np.float32)
        chosen[self.preparation.dense_place[inputs], np.arange(len(inputs))] = 1
        return self.graph.add("MatMul", self.dense, self.graph.constant(chosen))


def _logged(values: npt.NDArray[np.float32], is_count: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    # log(1 + x), not log1p: the graph has no log1p, and both must give the same float32.
    logged = np.log(np.maximum(values, np.float32(0)) + np.float32(1))
    return np.where(is_count, logged, values)


def _finite(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return values[np.isfinite(values)]
