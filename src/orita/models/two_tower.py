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
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from orita.features.schema import Side
from orita.models.compose import Composer
from orita.models.config import ModelSection
from orita.models.graph import ITEM_VECTORS
from orita.models.layers import Inputs
from orita.models.perceptron import Perceptron, to_array
from orita.models.preparation import Preparation, PreparedValues

__all__ = ["TwoTower"]

_CROSS_DIMS = (64, 32)


class TwoTower(nn.Module):
    """The network of ``type: two_tower``; the last columns of an id row are the id's biases, one a head."""

    shares_user = True
    rounded_sides: ClassVar[tuple[Side, ...]] = ("item",)

    def __init__(self, preparation: Preparation, section: ModelSection, heads: int = 1) -> None:
        super().__init__()
        width, k = section.id_embedding_dim, section.embedding_dim
        self.id_width, self.embedding_width, self.heads = width, k, heads
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

    def compose(self, users: str, items: str, prepared: PreparedValues) -> str:
        """Add the network to the graph of *prepared*; return the name of the logits, [N, H], or [N] of one head.

        *users* may hold one row for all: what is made of user and context, half of the work, is then made once a
        request. What is made of an item alone is the value `ITEM_VECTORS`: the other half, which can be made ahead. The
        first layer of the small network is added up of the parts of user and context, item, and pair.
        """
        graph, k, cross = prepared.graph, self.embedding_width, _CROSS_DIMS[0]
        asking = self._first_layers(self.user_tower, self.user_inputs, users, prepared.head(users), ("user", "context"))
        user_hidden, user_cross = graph.split(asking, [self.user_tower.dims[0], cross])
        user_out = self.user_tower.compose_rest(graph, user_hidden, self.scale)
        offered = self._first_layers(self.item_tower, self.item_inputs, items, prepared, ("item",))
        item_hidden, item_cross = graph.split(offered, [self.item_tower.dims[0], cross])
        item_out = self.item_tower.compose_rest(graph, item_hidden)
        of_items = graph.add("Concat", item_out, item_cross, self._biases(graph, items), axis=1)
        vectors = graph.named(ITEM_VECTORS, of_items)
        item_out, item_cross, item_bias = graph.split(vectors, [k, cross, self.heads])
        heads_KH = np.ones((k, 1), np.float32)
        if self.weights_KG is not None:
            heads_KH = np.hstack([heads_KH, to_array(self.weights_KG)])
        dots = graph.add("MatMul", graph.add("Mul", user_out, item_out), graph.constant(heads_KH))
        first = self.cross.layers[0]
        of_pairs = self.cross_inputs.fold(to_array(first.weight), ("pair",)).compose(prepared, to_array(first.bias))
        rest = self.cross.compose_rest(graph, graph.add("Sum", of_pairs, item_cross, user_cross))
        bias = graph.constant(to_array(self.bias))
        logits = graph.add("Sum", dots, rest, item_bias, self._biases(graph, users), bias)
        return graph.outputs(logits, self.heads)

    def _first_layers(
        self, tower: Perceptron, inputs: Inputs, ids: str, prepared: PreparedValues, sides: Sequence[Side]
    ) -> str:
        """Add the first layer of *tower*, and beside it what *sides* give to the first of the small network."""
        first, cross = tower.layers[0], to_array(self.cross.layers[0].weight)
        weight_HI, width = to_array(first.weight), self.id_width
        layers = inputs.fold(weight_HI[:, width:], sides).beside(self.cross_inputs.fold(cross, sides))
        bias = np.concatenate([to_array(first.bias), np.zeros(len(cross), np.float32)])
        of_ids = np.zeros((width + self.heads, len(bias)), np.float32)
        of_ids[:width, : len(weight_HI)] = weight_HI[:, :width].T
        return layers.compose(prepared, bias, ids, of_ids)

    def _biases(self, graph: Composer, ids: str) -> str:
        return graph.columns(ids, self.id_width, self.id_width + self.heads)
