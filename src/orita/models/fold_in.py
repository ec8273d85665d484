"""A person's taste from what they have answered by now, and what it says of an item: in arrays and in a graph.

Legend: N rows, K items whose answers are features, V items (row 0 is the unknown item), D factors.

The posterior of a taste is one system of D equations a row: (I + Σ q qᵀ ÷ s²) t = Σ q r ÷ s² over the items that
were answered, with loadings q and residuals r. It is eliminated step by step, since a graph has no operator for it;
the matrix is the identity and more, so that no pivot is below 1. All is in float64: trees branch on the results, and
the two ways of computing must not lie on two sides of a threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.models.compose import Composer
from orita.models.factors import Factors, squares

__all__ = ["OUTPUTS", "FoldIn"]

OUTPUTS = ("factor_score", "factor_taste", "factor_level", "factor_doubt")
"""What is told of a row: the expected answer; the part of it that taste makes; the person's level; how unsure the
expectation is, as a variance."""

Floats = npt.NDArray[np.float64]

_BLOCK_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class FoldIn:
    """Learned factors, and the items whose answers are given as features.

    Attributes:
        factors: of all items.
        asked_K: rows of those items; 0 for one that training did not meet.
    """

    factors: Factors
    asked_K: npt.NDArray[np.int64]

    def apply(self, answers_NK: npt.NDArray[np.float32], items_N: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return `OUTPUTS`, [N, 4], for rows with the given answers (NaN: none) and rows of items."""
        blocks = [slice(start, start + _BLOCK_ROWS) for start in range(0, max(len(items_N), 1), _BLOCK_ROWS)]
        return np.concatenate([self._block(answers_NK[b].astype(np.float64), items_N[b]) for b in blocks])

    def compose(self, graph: Composer, answers: str, items: str) -> str:
        """Add the same to *graph*, for answers float32 [N, K] and rows of items int64 [N]; return [N, 4], float32."""
        factors, loading_KD = self.factors, self.factors.loading_VD[self.asked_K]
        count = loading_KD.shape[1]
        none = graph.add("IsNaN", answers)
        zero = graph.constant(np.float64(0))
        bounds = (graph.constant(np.float64(bound)) for bound in (factors.low, factors.high))
        bounded = graph.add("Clip", graph.add("Cast", answers, to="float64"), *bounds)
        known = graph.add("Cast", graph.add("Not", none), to="float64")
        residual = graph.add("Sub", bounded, graph.constant(self._usual))
        residual = graph.add("Where", none, zero, residual)
        met = graph.add("MatMul", known, graph.constant(squares(loading_KD) / factors.variance))
        met = graph.add("Reshape", met, graph.constant(np.array([-1, count, count], np.int64)))
        left = graph.add("Add", met, graph.constant(np.eye(count)))
        last = graph.constant(np.array([2], np.int64))
        sums = graph.add("MatMul", residual, graph.constant(loading_KD / factors.variance))
        loading = graph.add("Gather", graph.constant(factors.loading_VD), items)
        right = [graph.add("Unsqueeze", each, last) for each in (sums, loading)]
        solved = graph.add("Concat", left, *right, axis=2)
        for k in range(count):
            row, column = _part(graph, solved, 1, k), _part(graph, solved, 2, k)
            pivot = graph.add("Div", row, _part(graph, row, 2, k))
            factor = graph.add("Sub", column, graph.constant(np.eye(count)[:, [k]]))
            solved = graph.add("Sub", solved, graph.add("Mul", factor, pivot))
        taste, doubt = (graph.add("Squeeze", _part(graph, solved, 2, count + n), last) for n in (0, 1))
        one = graph.constant(np.array([1], np.int64))
        drawn, unsure = (graph.add("ReduceSum", graph.add("Mul", each, loading), one) for each in (taste, doubt))
        expected = graph.add("Gather", graph.constant(factors.bias_V[:, None] + factors.mean), items)
        told = [graph.add("Add", expected, drawn), drawn, graph.columns(taste, 0, 1), unsure]
        return graph.add("Cast", graph.add("Concat", *told, axis=1), to="float32")

    @property
    def _usual(self) -> Floats:
        """Return what somebody of average taste answers, [K]."""
        usual_K: Floats = self.factors.mean + self.factors.bias_V[self.asked_K]
        return usual_K

    def _block(self, answers_NK: Floats, items_N: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        factors, loading_KD = self.factors, self.factors.loading_VD[self.asked_K]
        count = loading_KD.shape[1]
        none_NK = np.isnan(answers_NK)
        residual_NK = np.where(none_NK, 0.0, np.clip(answers_NK, factors.low, factors.high) - self._usual)
        met_ND = (~none_NK).astype(np.float64) @ (squares(loading_KD) / factors.variance)
        left_NDD = met_ND.reshape(len(items_N), count, count) + np.eye(count)
        sums_ND, loading_ND = residual_NK @ (loading_KD / factors.variance), factors.loading_VD[items_N]
        taste_ND, doubt_ND = _solved(left_NDD, sums_ND, loading_ND)
        drawn_N, unsure_N = (taste_ND * loading_ND).sum(1), (doubt_ND * loading_ND).sum(1)
        expected_N = factors.mean + factors.bias_V[items_N] + drawn_N
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
