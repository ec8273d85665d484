"""A logistic regression on prepared features and ids: the baseline that a network has to beat, and read at a glance.

Legend: B rows of a batch, E width of a row of an id table, D dense inputs, C categories, H heads.

A category has one weight a value, an id its bias; the embedding columns of id rows are not looked at. Several heads
share nothing.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from orita.features.schema import Side
from orita.models.config import ModelSection
from orita.models.layers import Inputs
from orita.models.perceptron import to_array
from orita.models.preparation import Preparation, PreparedValues

__all__ = ["Linear"]


class Linear(nn.Module):
    """The network of ``type: linear``."""

    shares_user = False
    rounded_sides: ClassVar[tuple[Side, ...]] = ()

    def __init__(self, preparation: Preparation, section: ModelSection, heads: int = 1) -> None:
        super().__init__()
        self.id_width, self.heads = section.id_embedding_dim, heads
        self.inputs = Inputs(preparation, ("user", "context", "item", "pair"), category_width=heads, exactly=True)
        for table in self.inputs.embeddings:
            nn.init.zeros_(table.get_parameter("weight"))
        self.weights = nn.Parameter(torch.zeros(len(self.inputs.columns), heads))
        self.bias = nn.Parameter(torch.zeros(heads))

    def forward(self, users_BE: Tensor, items_BE: Tensor, dense_BD: Tensor, categories_BC: Tensor) -> Tensor:
        """Return ``logits_BH``."""
        dense_BD, *categories = self.inputs(dense_BD, categories_BC)
        logits_BH = sum(categories, dense_BD @ self.weights)
        return logits_BH + users_BE[:, self.id_width :] + items_BE[:, self.id_width :] + self.bias

    def compose(self, users: str, items: str, prepared: PreparedValues) -> str:
        """Add the network to the graph of *prepared*; return the name of the logits, [N, H], or [N] of one head."""
        graph, width = prepared.graph, self.id_width
        dense, *each = self.inputs.compose(prepared)
        weighed = graph.add("MatMul", dense, graph.constant(to_array(self.weights)))
        parts = [graph.outputs(value, self.heads) for value in (weighed, *each)]
        biases = [graph.columns(rows, width, width + self.heads) for rows in (users, items)]
        parts += [graph.outputs(value, self.heads) for value in biases]
        return graph.add("Sum", *parts, graph.constant(to_array(self.bias)))
