"""A logistic regression on prepared features and ids: the baseline that a network has to beat, and read at a glance.

Legend: B rows of a batch, E width of a row of an id table, D dense inputs, C categories.

A category has one weight a value, an id its bias; the embedding columns of id rows are not looked at.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from orita.models.compose import Composer
from orita.models.config import ModelSection
from orita.models.layers import Inputs
from orita.models.perceptron import to_array
from orita.models.preparation import Preparation

__all__ = ["Linear"]


class Linear(nn.Module):
    """The network of ``type: linear``."""

    shares_user = False

    def __init__(self, preparation: Preparation, section: ModelSection) -> None:
        super().__init__()
        self.id_width = section.id_embedding_dim
        self.inputs = Inputs(preparation, ("user", "context", "item", "pair"), category_width=1)
        for table in self.inputs.embeddings:
            nn.init.zeros_(table.get_parameter("weight"))
        self.weights = nn.Parameter(torch.zeros(len(self.inputs.columns), 1))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, users_BE: Tensor, items_BE: Tensor, dense_BD: Tensor, categories_BC: Tensor) -> Tensor:
        """Return ``logits_B``."""
        dense_BD, *categories = self.inputs(dense_BD, categories_BC)
        logits_B1 = sum(categories, dense_BD @ self.weights)
        return logits_B1.squeeze(1) + users_BE[:, -1] + items_BE[:, -1] + self.bias

    def compose(self, graph: Composer, users: str, items: str, dense: str, categories: str) -> str:
        """Add the network to *graph*; return the name of the logits."""
        width = self.id_width
        dense, *each = self.inputs.compose(graph, dense, categories)
        weighed = graph.add("MatMul", dense, graph.constant(to_array(self.weights)))
        parts = [graph.column(value) for value in (weighed, *each)]
        parts += [graph.column(graph.columns(rows, width, width + 1)) for rows in (users, items)]
        return graph.add("Sum", *parts, graph.constant(to_array(self.bias)))
