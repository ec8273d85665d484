"""What networks read: prepared features, dense columns and categories; it can also write itself into a graph.

Legend: B rows of a batch, N rows of a graph, D dense inputs, C categories, V values of a category, I inputs of a layer,
O its outputs, E width of a row of a table of ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from orita.features.schema import Side
from orita.models.perceptron import Perceptron, to_array
from orita.models.preparation import Preparation, PreparedValues

__all__ = ["Folded", "Inputs", "Perceptron", "to_array"]

Floats = npt.NDArray[np.float32]

_MAX_CATEGORY_WIDTH = 16
_SMALL = 64


class Inputs(nn.Module):
    """The prepared features of some sides as one matrix: dense columns beside categories, each embedded.

    Args:
        preparation: how features are prepared.
        sides: which features.
        category_width: width of an embedding, or the number of the category's values where that is less.
        exactly: embeddings have that width however few values there are.
    """

    def __init__(
        self,
        preparation: Preparation,
        sides: Sequence[Side],
        category_width: int = _MAX_CATEGORY_WIDTH,
        *,
        exactly: bool = False,
    ) -> None:
        super().__init__()
        self.preparation = preparation
        self.register_buffer("columns", torch.from_numpy(preparation.dense_of(sides)), persistent=False)
        self.positions = preparation.categories_of(sides)
        cardinalities = [int(preparation.cardinalities[c]) for c in self.positions]
        widths = [category_width if exactly else min(cardinality, category_width) for cardinality in cardinalities]
        self.embeddings = nn.ModuleList(
            nn.Embedding(1 + cardinality, width) for cardinality, width in zip(cardinalities, widths, strict=True)
        )
        self.width = len(self.columns) + sum(widths)

    columns: Tensor

    def forward(self, dense_BD: Tensor, categories_BC: Tensor) -> list[Tensor]:
        """Return the blocks of the matrix, to be concatenated by the caller with its own."""
        blocks = [dense_BD.index_select(1, self.columns)]
        blocks += [_embed(categories_BC[:, c], table) for c, table in zip(self.positions, self.embeddings, strict=True)]
        return blocks

    def compose(self, prepared: PreparedValues) -> list[str]:
        """Add the blocks to the graph of *prepared*."""
        blocks = [prepared.select(to_array(self.columns))]
        for c, table in zip(self.positions, self.embeddings, strict=True):
            blocks.append(
                prepared.graph.add("Gather", prepared.graph.constant(to_array(table.weight)), prepared.category(c))
            )
        return blocks

    def fold(self, weight_OI: Floats, sides: Sequence[Side]) -> Folded:
        """Return ``blocks @ weight_OI.T`` as a function of prepared features, of those of *sides* alone."""
        preparation = self.preparation
        columns = to_array(self.columns)
        dense_DO = np.zeros((len(preparation.sides), len(weight_OI)), np.float32)
        its = np.isin(columns, preparation.dense_of(sides))
        dense_DO[columns[its]] = weight_OI[:, : len(columns)].T[its]
        tables, start = {}, len(columns)
        for c, table in zip(self.positions, self.embeddings, strict=True):
            table_VE = to_array(table.weight)
            end = start + table_VE.shape[1]
            if preparation.category_sides[c] in sides:
                tables[c] = table_VE @ weight_OI[:, start:end].T
            start = end
        return Folded(dense_DO, tables)


@dataclass(frozen=True, slots=True)
class Folded:
    """A linear layer of prepared features.

    An embedding times a weight is a row of the product of the two, so a category costs no more than a lookup.

    Attributes:
        dense_DO: what each dense input weighs.
        tables: what each value of a category adds, [1 + V, O], by the category's position.
    """

    dense_DO: Floats
    tables: Mapping[int, Floats]

    def beside(self, other: Folded) -> Folded:
        """Return both layers side by side."""
        widths = self.dense_DO.shape[1], other.dense_DO.shape[1]
        empty = {c: [np.zeros((len(table), width), np.float32) for width in widths] for c, table in self.tables.items()}
        empty |= {
            c: [np.zeros((len(table), width), np.float32) for width in widths] for c, table in other.tables.items()
        }
        tables = {
            c: np.hstack([self.tables.get(c, mine), other.tables.get(c, others)])
            for c, (mine, others) in sorted(empty.items())
        }
        return Folded(np.hstack([self.dense_DO, other.dense_DO]), tables)

    def compose(self, prepared: PreparedValues, bias_O: Floats, ids: str = "", weight_EO: Floats | None = None) -> str:
        """Add the layer to the graph of *prepared*; return its outputs, [N, O].

        Args:
            prepared: the features.
            bias_O: what is added.
            ids: rows of a table of ids, [N, E], that the layer reads too.
            weight_EO: what these weigh.
        """
        graph = prepared.graph
        weight = np.zeros((prepared.width, len(bias_O)), np.float32)
        weight[prepared.preparation.dense_place] = self.dense_DO
        blocks, weights = [prepared.dense], [weight]
        if weight_EO is not None:
            blocks, weights = [ids, *blocks], [weight_EO, *weights]
        few = [c for c, table in self.tables.items() if len(table) <= _SMALL + 1]
        if few:  # one product for all of them; what a missing one adds is in the bias
            blocks.append(prepared.is_value(few))
            weights += [self.tables[c][1:] - self.tables[c][0] for c in few]
            bias_O = bias_O + sum(self.tables[c][0] for c in few)
        inputs = graph.add("Concat", *blocks, axis=1) if len(blocks) > 1 else blocks[0]
        outputs = graph.linear(inputs, np.ascontiguousarray(np.vstack(weights).T), bias_O)
        for c in self.tables.keys() - few:
            table = graph.constant(self.tables[c])
            outputs = graph.add("Add", outputs, graph.add("Gather", table, prepared.category(c)))
        return outputs


def _embed(values_B: Tensor, table: nn.Module) -> Tensor:
    """Return the rows of a category's *table*: as a matrix product where it is small, whose gradient is far faster."""
    weight_VE = table.get_parameter("weight")
    if len(weight_VE) > _SMALL:
        return nn.functional.embedding(values_B, weight_VE)
    one_hot_BV = torch.eye(len(weight_VE), device=values_B.device).index_select(0, values_B)
    return one_hot_BV @ weight_VE
