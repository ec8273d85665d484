"""What networks read: prepared features, dense columns and categories; it can also write itself into a graph.

Legend: B rows of a batch, D dense inputs, C categories, V values of a category.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from orita.features.schema import Side
from orita.models.compose import Composer
from orita.models.perceptron import Perceptron, to_array
from orita.models.preparation import Preparation

__all__ = ["Inputs", "Perceptron", "to_array"]

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

    def compose(self, graph: Composer, dense: str, categories: str) -> list[str]:
        """Add the blocks to *graph*."""
        blocks = [self.preparation.select(graph, dense, to_array(self.columns))]
        for c, table in zip(self.positions, self.embeddings, strict=True):
            index = graph.add("Gather", categories, graph.constant(np.int64(c)), axis=1)
            blocks.append(graph.add("Gather", graph.constant(to_array(table.weight)), index))
        return blocks


def _embed(values_B: Tensor, table: nn.Module) -> Tensor:
    """Return the rows of a category's *table*: as a matrix product where it is small, whose gradient is far faster."""
    weight_VE = table.get_parameter("weight")
    if len(weight_VE) > _SMALL:
        return nn.functional.embedding(values_B, weight_VE)
    one_hot_BV = torch.eye(len(weight_VE), device=values_B.device).index_select(0, values_B)
    return one_hot_BV @ weight_VE
