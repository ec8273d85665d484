"""One deep network over everything: ids of user and item, and every feature, side by side.

Legend: B rows of a batch, E width of a row of an id table, D dense inputs, C categories, H heads.

After Covington et al., "Deep Neural Networks for YouTube Recommendations" (2016), the ranking network.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from orita.features.schema import Side
from orita.models.config import ModelSection
from orita.models.layers import Inputs
from orita.models.perceptron import Perceptron, to_array
from orita.models.preparation import Preparation, PreparedValues

__all__ = ["DeepMlp"]


class DeepMlp(nn.Module):
    """The network of ``type: deep_mlp``; the last columns of an id row are the id's biases, one a head."""

    shares_user = False
    rounded_sides: ClassVar[tuple[Side, ...]] = ()

    def __init__(self, preparation: Preparation, section: ModelSection, heads: int = 1) -> None:
        super().__init__()
        self.id_width, self.heads = section.id_embedding_dim, heads
        self.inputs = Inputs(preparation, ("user", "context", "item", "pair"))
        width = 2 * self.id_width + self.inputs.width
        self.hidden = Perceptron(width, section.hidden_dims, heads, section.dropout)
        self.bias = nn.Parameter(torch.zeros(heads))

    def forward(self, users_BE: Tensor, items_BE: Tensor, dense_BD: Tensor, categories_BC: Tensor) -> Tensor:
        """Return ``logits_BH``."""
        width = self.id_width
        blocks = [users_BE[:, :width], items_BE[:, :width], *self.inputs(dense_BD, categories_BC)]
        hidden_BH: Tensor = self.hidden(torch.cat(blocks, 1))
        return hidden_BH + users_BE[:, width:] + items_BE[:, width:] + self.bias

    def compose(self, users: str, items: str, prepared: PreparedValues) -> str:
        """Add the network to the graph of *prepared*; return the name of the logits, [N, H], or [N] of one head."""
        graph, width = prepared.graph, self.id_width
        ids = [graph.columns(rows, 0, width) for rows in (users, items)]
        blocks = graph.add("Concat", *ids, *self.inputs.compose(prepared), axis=1)
        hidden = graph.outputs(self.hidden.compose(graph, blocks), self.heads)
        parts = [hidden, graph.constant(to_array(self.bias))]
        biases = [graph.columns(rows, width, width + self.heads) for rows in (users, items)]
        parts += [graph.outputs(value, self.heads) for value in biases]
        return graph.add("Sum", *parts)
