"""A person's taste from what they have answered by now, and what it says of an item: in arrays and in a graph.

Legend: N rows, F features, K features that hold answers, V items (row 0 is the unknown item), D factors, W = D + 1 (the
bias is last).

The posterior of a taste is one system of D equations a row: (I + Σ E[q qᵀ] ÷ s²) t = p + Σ E[q r] ÷ s² over the items
that were answered, with loadings q, residuals r, and p, what the person's traits lean to. It is eliminated step by
step, since a graph has no operator for it; the matrix is the identity and more, so that no pivot is below 1. All is in
float64: trees branch on the results, and the two ways of computing must not lie on two sides of a threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.models.answers import AnswerColumns
from orita.models.compose import Composer
from orita.models.factor_traits import Traits
from orita.models.factors import Factors, moments

__all__ = ["OUTPUTS", "FoldIn"]

OUTPUTS = ("factor_score", "factor_taste", "factor_level", "factor_doubt")
"""What is told of a row: the expected answer; the part of it that taste makes; the person's level; how unsure the
expectation is for not knowing the person better, as a variance."""

Floats = npt.NDArray[np.float64]

_BLOCK_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class FoldIn:
    """Learned factors, and the features that they are applied to.

    Attributes:
        factors: of all items.
        columns: which features hold answers.
        asked_K: rows of the items that these are answers to; 0 for one that training did not meet.
        habits: what traits of people lean to, [C, D].
        kinds: what traits of items lean to, [C, W]; it counts for unknown items alone.
    """

    factors: Factors
    columns: AnswerColumns
    asked_K: npt.NDArray[np.int64]
    habits: Traits
    kinds: Traits

    def apply(self, x_NF: npt.NDArray[np.float32], items_N: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return `OUTPUTS`, [N, 4], for rows with the given features (a missing answer: none) and rows of items."""
        blocks = [slice(start, start + _BLOCK_ROWS) for start in range(0, max(len(items_N), 1), _BLOCK_ROWS)]
        return np.concatenate([self._block(x_NF[b], items_N[b]) for b in blocks])

    def compose(self, graph: Composer, features: str, items: str) -> str:
        """Add the same to *graph*, for features float32 [N, F] and rows of items int64 [N]; return [N, 4], float32."""
        taste, doubt, own = self._compose_tastes(graph, features, items)
        last, one = (graph.constant(np.array([axis], np.int64)) for axis in (2, 1))
        taste, doubt = (graph.add("Squeeze", value, last) for value in (taste, doubt))
        count = self.factors.item_VW.shape[1] - 1
        loading = graph.columns(own, 0, count)
        drawn, unsure = (graph.add("ReduceSum", graph.add("Mul", each, loading), one) for each in (taste, doubt))
        expected = graph.add("Add", graph.columns(own, count, count + 1), graph.constant(np.float64(self.factors.mean)))
        told = [graph.add("Add", expected, drawn), drawn, graph.columns(taste, 0, 1), unsure]
        return graph.add("Cast", graph.add("Concat", *told, axis=1), to="float32")

    def _compose_tastes(self, graph: Composer, features: str, items: str) -> tuple[str, str, str]:
        """Return the taste and the doubt, [N, D, 1], and loading and bias, [N, W], of each row."""
        factors, (loading_KD, crossed_KD, met_KDD) = self.factors, self._weights
        count = loading_KD.shape[1]
        answers = graph.add("Gather", features, graph.constant(self.columns.answers), axis=1)
        none, zero = graph.add("IsNaN", answers), graph.constant(np.float64(0))
        bounds = (graph.constant(np.float64(bound)) for bound in (factors.low, factors.high))
        bounded = graph.add("Clip", graph.add("Cast", answers, to="float64"), *bounds)
        known = graph.add("Cast", graph.add("Not", none), to="float64")
        residual = graph.add("Where", none, zero, graph.add("Sub", bounded, graph.constant(np.float64(factors.mean))))
        met = graph.add("MatMul", known, graph.constant(met_KDD))
        met = graph.add("Reshape", met, graph.constant(np.array([-1, count, count], np.int64)))
        left = graph.add("Add", met, graph.constant(np.eye(count)))
        crossed = graph.add("MatMul", known, graph.constant(crossed_KD))
        sums = graph.add("Sub", graph.add("MatMul", residual, graph.constant(loading_KD)), crossed)
        sums = graph.add("Add", sums, self.habits.compose(graph, features))
        unknown = graph.add("Equal", items, graph.constant(np.int64(0)))
        unknown = graph.add("Unsqueeze", unknown, graph.constant(np.array([1], np.int64)))
        own = graph.add("Gather", graph.constant(factors.item_VW), items)
        own = graph.add("Add", own, graph.add("Where", unknown, self.kinds.compose(graph, features), zero))
        last = graph.constant(np.array([2], np.int64))
        right = [graph.add("Unsqueeze", each, last) for each in (sums, graph.columns(own, 0, count))]
        solved = graph.add("Concat", left, *right, axis=2)
        for k in range(count):
            row, column = _part(graph, solved, 1, k), _part(graph, solved, 2, k)
            pivot = graph.add("Div", row, _part(graph, row, 2, k))
            factor = graph.add("Sub", column, graph.constant(np.eye(count)[:, [k]]))
            solved = graph.add("Sub", solved, graph.add("Mul", factor, pivot))
        return _part(graph, solved, 2, count), _part(graph, solved, 2, count + 1), own

    @property
    def _weights(self) -> tuple[Floats, Floats, Floats]:
        """Return E[q] ÷ s², [K, D]; E[q · bias] ÷ s², [K, D]; and E[q qᵀ] ÷ s², [K, D · D], of the items asked."""
        factors = self.factors
        asked_KW = factors.item_VW[self.asked_K]
        moment_KWW = moments(asked_KW, factors.spread_VWW[self.asked_K]) / factors.variance
        met_KDD = moment_KWW[:, :-1, :-1].reshape(len(asked_KW), (asked_KW.shape[1] - 1) ** 2)
        return asked_KW[:, :-1] / factors.variance, moment_KWW[:, :-1, -1], met_KDD

    def _block(self, x_NF: npt.NDArray[np.float32], items_N: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        factors, (loading_KD, crossed_KD, met_KDD) = self.factors, self._weights
        count = loading_KD.shape[1]
        answers_NK = x_NF[:, self.columns.answers].astype(np.float64)
        none_NK = np.isnan(answers_NK)
        residual_NK = np.where(none_NK, 0.0, np.clip(answers_NK, factors.low, factors.high) - factors.mean)
        known_NK = (~none_NK).astype(np.float64)
        left_NDD = (known_NK @ met_KDD).reshape(len(items_N), count, count) + np.eye(count)
        sums_ND = residual_NK @ loading_KD - known_NK @ crossed_KD + self.habits.apply(x_NF)
        own_NW = factors.item_VW[items_N] + np.where((items_N == 0)[:, None], self.kinds.apply(x_NF), 0.0)
        taste_ND, doubt_ND = _solved(left_NDD, sums_ND, own_NW[:, :-1])
        drawn_N, unsure_N = (taste_ND * own_NW[:, :-1]).sum(1), (doubt_ND * own_NW[:, :-1]).sum(1)
        expected_N = factors.mean + own_NW[:, -1] + drawn_N
        return np.column_stack([expected_N, drawn_N, taste_ND[:, 0], unsure_N]).astype(np.float32)


def _solved(left_NDD: Floats, *right_ND: Floats) -> list[Floats]:
    """Return the solutions of *left_NDD* · x = each of *right_ND*, by Gauss and Jordan without a search for pivots."""
    solved = np.concatenate([left_NDD, *(right[:, :, None] for right in right_ND)], axis=2)
    count = left_NDD.shape[1]
    for k in range(count):
        pivot = solved[:, k : k + 1] / solved[:, k : k + 1, k : k + 1]
        solved = solved - (solved[:, :, k : k + 1] - np.eye(count)[:, [k]]) * pivot
    return [solved[:, :, count + n] for n in range(len(right_ND))]


def _part(graph: Composer, value: str, axis: int, at: int) -> str:
    """Take the part *at* … *at* of an axis, and keep the axis."""
    begin_end_axis = (graph.constant(np.array([v], np.int64)) for v in (at, at + 1, axis))
    return graph.add("Slice", value, *begin_end_axis)
