"""Two towers: who asks and what is offered meet in one dot product.

Legend: B rows of a batch, E width of a row of an id table, D dense inputs, C categories, K embedding width, H heads,
G heads but the first.

The user tower reads the user's id embedding with the features of user and context, the item tower its id's with the
features of the item; the logit is the dot product of their outputs, plus a bias of each id, plus a small network that
sees all features side by side, and so those of the pair, which belong to neither tower. After Yi et al.,
"Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations" (2019).

Several heads share all of it but the last step: the first is the dot product, each other one weighs the products of
which that is the sum by weights of its own, and has its own biases and its own output of the small network.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from orita.models.compose import Composer
from orita.models.config import ModelSection
from orita.models.layers import Inputs
from orita.models.perceptron import Perceptron, to_array
from orita.models.preparation import Preparation

__all__ = ["TwoTower"]

_CROSS_DIMS = (64, 32)


class TwoTower(nn.Module):
    """The network of ``type: two_tower``; the last columns of an id row are the id's biases, one a head."""

    shares_user = True

    def __init__(self, preparation: Preparation, section: ModelSection, heads: int = 1) -> None:
        super().__init__()
        width, k = section.id_embedding_dim, section.embedding_dim
        self.id_width, self.heads = width, heads
        self.user_inputs = Inputs(preparation, ("user", "context"))
        self.item_inputs = Inputs(preparation, ("item",))
        self.cross_inputs = Inputs(preparation, ("pair", "user", "context", "item"))
        self.user_tower = Perceptron(width + self.user_inputs.width, section.user_tower_dims, k, section.dropout)
        self.item_tower = Perceptron(width + self.item_inputs.width, section.item_tower_dims, k, section.dropout)
        self.cross = Perceptron(self.cross_inputs.width, _CROSS_DIMS, heads, 0.0)
        self.bias = nn.Parameter(torch.zeros(heads))
        self.weights_KG = nn.Parameter(torch.ones(k, heads - 1)) if heads > 1 else None
        self.scale = 1.0 / math.sqrt(k)

    def forward(self, users_BE: Tensor, items_BE: Tensor, dense_BD: Tensor, categories_BC: Tensor) -> Tensor:
        """Return ``logits_BH``."""
        user_BE, user_bias_BH = torch.split(users_BE, [self.id_width, self.heads], 1)
        item_BE, item_bias_BH = torch.split(items_BE, [self.id_width, self.heads], 1)
        user_in = [user_BE, *self.user_inputs(dense_BD, categories_BC)]
        item_in = [item_BE, *self.item_inputs(dense_BD, categories_BC)]
        users_BK = self.user_tower(torch.cat(user_in, 1))
        items_BK = self.item_tower(torch.cat(item_in, 1))
        products_BK = users_BK * items_BK
        dots_BH = products_BK.sum(1, keepdim=True)
        if self.weights_KG is not None:
            dots_BH = torch.cat([dots_BH, products_BK @ self.weights_KG], 1)
        rest_BH: Tensor = self.cross(torch.cat(self.cross_inputs(dense_BD, categories_BC), 1))
        rest_BH = rest_BH + user_bias_BH + item_bias_BH + self.bias
        return torch.add(rest_BH, dots_BH, alpha=self.scale)

    def compose(self, graph: Composer, users: str, items: str, dense: str, categories: str) -> str:
        """Add the network to *graph*; return the name of the logits, [N, H], or [N] of one head.

        *users* may hold one row for all: the user tower, half of the work, then runs once a request.
        """
        width, axis = self.id_width, graph.constant(np.array([1], np.int64))
        one_or_all = graph.head(dense, users), graph.head(categories, users)
        user_in = [graph.columns(users, 0, width), *self.user_inputs.compose(graph, *one_or_all)]
        item_in = [graph.columns(items, 0, width), *self.item_inputs.compose(graph, dense, categories)]
        user_out = self.user_tower.compose(graph, graph.add("Concat", *user_in, axis=1))
        item_out = self.item_tower.compose(graph, graph.add("Concat", *item_in, axis=1))
        products = graph.add("Mul", user_out, item_out)
        dots = graph.add("ReduceSum", products, axis, keepdims=int(self.heads > 1))
        if self.weights_KG is not None:
            others = graph.add("MatMul", products, graph.constant(to_array(self.weights_KG)))
            dots = graph.add("Concat", dots, others, axis=1)
        parts = [graph.add("Mul", dots, graph.constant(np.float32(self.scale))), graph.constant(to_array(self.bias))]
        biases = [graph.columns(rows, width, width + self.heads) for rows in (users, items)]
        parts += [graph.outputs(value, self.heads) for value in biases]
        cross_in = graph.add("Concat", *self.cross_inputs.compose(graph, dense, categories), axis=1)
        parts.append(graph.outputs(self.cross.compose(graph, cross_in), self.heads))
        return graph.add("Sum", *parts)
