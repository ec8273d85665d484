"""The pieces that networks are made of; each can also write itself into a graph.

Legend: B rows of a batch, D dense inputs, C categories, H hidden units.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from orita.features.schema import Side
from orita.models.compose import Composer
from orita.models.preparation import Preparation

__all__ = ["Inputs", "Perceptron", "relu_dropout", "to_array"]

_MAX_CATEGORY_WIDTH = 16


class Inputs(nn.Module):
    """The prepared features of some sides as one matrix: dense columns beside categories, each embedded.

    Args:
        preparation: how features are prepared.
        sides: which features.
        category_width: width of an embedding, or the number of the category's values where that is less.
    """

    def __init__(
        self, preparation: Preparation, sides: Sequence[Side], category_width: int = _MAX_CATEGORY_WIDTH
    ) -> None:
        super().__init__()
        self.preparation = preparation
        self.register_buffer("columns", torch.from_numpy(preparation.dense_of(sides)), persistent=False)
        self.positions = preparation.categories_of(sides)
        cardinalities = [int(preparation.cardinalities[c]) for c in self.positions]
        widths = [min(cardinality, category_width) for cardinality in cardinalities]
        self.embeddings = nn.ModuleList(
            nn.Embedding(1 + cardinality, width) for cardinality, width in zip(cardinalities, widths, strict=True)
        )
        self.width = len(self.columns) + sum(widths)

    columns: Tensor

    def forward(self, dense_BD: Tensor, categories_BC: Tensor) -> list[Tensor]:
        """Return the blocks of the matrix, to be concatenated by the caller with its own."""
        blocks = [dense_BD.index_select(1, self.columns)]
        blocks += [table(categories_BC[:, c]) for c, table in zip(self.positions, self.embeddings, strict=True)]
        return blocks

    def compose(self, graph: Composer, dense: str, categories: str) -> list[str]:
        """Add the blocks to *graph*."""
        blocks = [self.preparation.select(graph, dense, to_array(self.columns))]
        for c, table in zip(self.positions, self.embeddings, strict=True):
            index = graph.add("Gather", categories, graph.constant(np.int64(c)), axis=1)
            blocks.append(graph.add("Gather", graph.constant(to_array(table.weight)), index))
        return blocks


class Perceptron(nn.Module):
    """Linear layers with ReLU and dropout between them; the last layer is linear."""

    def __init__(self, width: int, dims: Sequence[int], outputs: int, dropout: float) -> None:
        super().__init__()
        widths = [width, *dims, outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.dropout = dropout

    def forward(self, x_BH: Tensor) -> Tensor:
        """Return the outputs for a batch of inputs."""
        *hidden, last = self.layers
        for layer in hidden:
            x_BH = relu_dropout(layer(x_BH), self.dropout if self.training else 0.0)
        output: Tensor = last(x_BH)
        return output

    def compose(self, graph: Composer, value: str) -> str:
        """Add the layers to *graph*."""
        *hidden, last = self.layers
        for layer in hidden:
            value = graph.add("Relu", graph.linear(value, to_array(layer.weight), to_array(layer.bias)))
        return graph.linear(value, to_array(last.weight), to_array(last.bias))


class _ReluDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BH: Tensor, dropped: int) -> Tensor:
        scale = 256 / (256 - dropped)
        random_BH = torch.empty(-(-x_BH.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        kept_BH = random_BH.view(torch.uint8)[: x_BH.numel()].view_as(x_BH) >= dropped
        output_BH = x_BH.clamp_min(0).mul_(kept_BH).mul_(scale)
        ctx.save_for_backward(output_BH)
        ctx.scale = scale
        return output_BH

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        # What survived both ReLU and dropout is positive, and nothing else is.
        (output_BH,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(gradients[0], output_BH, 0).mul_(ctx.scale), None


def relu_dropout(x_BH: Tensor, dropout: float) -> Tensor:
    """Return ``dropout(relu(x))``; the rate is rounded to 1/256.

    One random byte decides a cell, eight come from one draw: with torch's own dropout the draws alone take half of a
    training step on a CPU.
    """
    dropped = round(dropout * 256)
    return _ReluDropout.apply(x_BH, dropped) if dropped else torch.relu(x_BH)  # type: ignore[no-untyped-call]


def to_array(tensor: Any) -> npt.NDArray[Any]:
    """Return the values of *tensor* as an array."""
    array: npt.NDArray[Any] = tensor.detach().cpu().numpy()
    return array
