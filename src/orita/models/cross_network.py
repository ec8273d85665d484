"""Crosses of features, of bounded degree, beside a deep network: a product of two features is learned as such.

Legend: B rows of a batch, E width of a row of an id table, D dense inputs, C categories, I inputs side by side, R rank,
H heads.

DCN-V2 in its parallel form, with low-rank crosses: Wang et al., "DCN V2: Improved Deep & Cross Network and Practical
Lessons for Web-scale Learning to Rank Systems" (2021). A cross is x₀ ⊙ (U·V·x + b) + x, where x₀ are the inputs.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from orita.features.schema import Side
from orita.models.compose import Composer
from orita.models.config import ModelSection
from orita.models.layers import Inputs
from orita.models.perceptron import Perceptron, to_array
from orita.models.preparation import Preparation, PreparedValues

__all__ = ["CrossNetwork"]


class _Cross(nn.Module):
    """One cross; the weight that each input has for each other one has rank R."""

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, width)

    def forward(self, first_BI: Tensor, x_BI: Tensor) -> Tensor:
        return torch.addcmul(x_BI, first_BI, self.up(self.down(x_BI)))

    def compose(self, graph: Composer, first: str, x: str) -> str:
        down = graph.add("MatMul", x, graph.constant(to_array(self.down.weight.T)))
        mixed = graph.linear(down, to_array(self.up.weight), to_array(self.up.bias))
        return graph.add("Add", graph.add("Mul", first, mixed), x)


class CrossNetwork(nn.Module):
    """The network of ``type: dcn_v2``; the last columns of an id row are the id's biases, one a head."""

    shares_user = False
    rounded_sides: ClassVar[tuple[Side, ...]] = ()

    def __init__(self, preparation: Preparation, section: ModelSection, heads: int = 1) -> None:
        super().__init__()
        self.id_width, self.heads = section.id_embedding_dim, heads
        self.inputs = Inputs(preparation, ("user", "context", "item", "pair"))
        width = 2 * self.id_width + self.inputs.width
        self.crosses = nn.ModuleList(_Cross(width, min(section.cross_rank, width)) for _ in range(section.crosses))
        self.crossed = nn.Linear(width, heads, bias=False)
        self.hidden = Perceptron(width, section.hidden_dims, heads, section.dropout)
        self.bias = nn.Parameter(torch.zeros(heads))

    def forward(self, users_BE: Tensor, items_BE: Tensor, dense_BD: Tensor, categories_BC: Tensor) -> Tensor:
        """Return ``logits_BH``."""
        width = self.id_width
        first_BI = torch.cat([users_BE[:, :width], items_BE[:, :width], *self.inputs(dense_BD, categories_BC)], 1)
        x_BI = first_BI
        for cross in self.crosses:
            x_BI = cross(first_BI, x_BI)
        logits_BH: Tensor = self.crossed(x_BI) + self.hidden(first_BI)
        return logits_BH + users_BE[:, width:] + items_BE[:, width:] + self.bias

    def compose(self, users: str, items: str, prepared: PreparedValues) -> str:
        """Add the network to the graph of *prepared*; return the name of the logits, [N, H], or [N] of one head."""
        graph, width = prepared.graph, self.id_width
        ids = [graph.columns(rows, 0, width) for rows in (users, items)]
        first = x = graph.add("Concat", *ids, *self.inputs.compose(prepared), axis=1)
        for cross in self.crosses:
            assert isinstance(cross, _Cross)
            x = cross.compose(graph, first, x)
        crossed = graph.add("MatMul", x, graph.constant(to_array(self.crossed.weight.T)))
        parts = [graph.outputs(value, self.heads) for value in (crossed, self.hidden.compose(graph, first))]
        biases = [graph.columns(rows, width, width + self.heads) for rows in (users, items)]
        parts += [graph.outputs(value, self.heads) for value in biases]
        return graph.add("Sum", *parts, graph.constant(to_array(self.bias)))
