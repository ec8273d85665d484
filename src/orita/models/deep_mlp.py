"""One deep network over everything: ids of user and item, and every feature, side by side.

Legend: B rows of a batch, E width of a row of an id table, D dense inputs, C categories.

After Covington et al., "Deep Neural Networks for YouTube Recommendations" (2016), the ranking network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from orita.models.compose import Composer
from orita.models.config import ModelSection
from orita.models.layers import Inputs
from orita.models.perceptron import Perceptron, to_array
from orita.models.preparation import Preparation

__all__ = ["DeepMlp"]


class DeepMlp(nn.Module):
    """The network of ``type: deep_mlp``; the last column of an id row is the bias of the id."""

    shares_user = False

    def __init__(self, preparation: Preparation, section: ModelSection) -> None:
        super().__init__()
        self.id_width = section.id_embedding_dim
        self.inputs = Inputs(preparation, ("user", "context", "item", "pair"))
        width = 2 * self.id_width + self.inputs.width
        self.hidden = Perceptron(width, section.hidden_dims, 1, section.dropout)
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, users_BE: Tensor, items_BE: Tensor, dense_BD: Tensor, categories_BC: Tensor) -> Tensor:
        """Return ``logits_B``."""
        blocks = [users_BE[:, :-1], items_BE[:, :-1], *self.inputs(dense_BD, categories_BC)]
        hidden_B: Tensor = self.hidden(torch.cat(blocks, 1)).squeeze(1)
        return hidden_B + users_BE[:, -1] + items_BE[:, -1] + self.bias

    def compose(self, graph: Composer, users: str, items: str, dense: str, categories: str) -> str:
        """Add the network to *graph*; return the name of the logits."""
        width = self.id_width
        ids = [graph.columns(rows, 0, width) for rows in (users, items)]
        blocks = graph.add("Concat", *ids, *self.inputs.compose(graph, dense, categories), axis=1)
        parts = [graph.column(self.hidden.compose(graph, blocks)), graph.constant(to_array(self.bias))]
        parts += [graph.column(graph.columns(rows, width, width + 1)) for rows in (users, items)]
        return graph.add("Sum", *parts)
