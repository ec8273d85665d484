"""Linear layers with ReLU and dropout between them, and their gradients written out.

Legend: B rows of a batch, I inputs, H hidden units, O outputs.

Written out, a layer takes one matrix product and two passes over its units forward, two products and two passes
backward, all in memory that nobody else holds; left to autograd, it takes twice as many passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.amp import custom_bwd, custom_fwd

from orita.models.compose import Composer
from orita.models.dropout import LEVELS, Masks

__all__ = ["Perceptron", "to_array"]


class Perceptron(nn.Module):
    """Linear layers with ReLU and dropout between them; the last layer is linear.

    Args:
        width: inputs.
        dims: units of the hidden layers.
        outputs: units of the last layer.
        dropout: share of hidden units that are 0 in training, rounded to 1/256.

    Attributes:
        masks: where dropout comes from; None: torch's own, and its own gradients.
    """

    def __init__(self, width: int, dims: Sequence[int], outputs: int, dropout: float) -> None:
        super().__init__()
        widths = [width, *dims, outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.dims = tuple(dims)
        self.dropped = round(dropout * LEVELS)
        self.masks: Masks | None = None

    def forward(self, x_BI: Tensor) -> Tensor:
        """Return the outputs for a batch of inputs."""
        if self.training and self.masks:
            drawn = [self.masks.draw(self.dropped, len(x_BI), width) for width in self.dims if self.dropped]
            return _written_out(x_BI, self.dropped, drawn, *self.parameters())
        *hidden, last = self.layers
        for layer in hidden:
            x_BI = nn.functional.dropout(torch.relu(layer(x_BI)), self.dropped / LEVELS, self.training)
        output: Tensor = last(x_BI)
        return output

    def compose(self, graph: Composer, value: str) -> str:
        """Add the layers to *graph*."""
        first = self.layers[0]
        return self.compose_rest(graph, graph.linear(value, to_array(first.weight), to_array(first.bias)))

    def compose_rest(self, graph: Composer, first: str, scale: float = 1.0) -> str:
        """Add the layers after the first, of which *first* is what it gives; the outputs are multiplied by *scale*."""
        value = first
        for number, layer in enumerate(self.layers[1:], 2):
            weight, bias = to_array(layer.weight), to_array(layer.bias)
            if number == len(self.layers):
                weight, bias = weight * np.float32(scale), bias * np.float32(scale)
            value = graph.linear(graph.add("Relu", value), weight, bias)
        return value


class _Layers(torch.autograd.Function):
    """All layers at once; *parameters*: weight and bias of each in turn, *masks*: one a hidden layer, or none."""

    @staticmethod
    @custom_fwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def forward(ctx: Any, x_BI: Tensor, dropped: int, masks: Sequence[Tensor], *parameters: Tensor) -> Tensor:
        weights, biases = parameters[::2], parameters[1::2]
        inputs = [x_BI]
        for layer, (weight_OI, bias_O) in enumerate(zip(weights, biases, strict=True)):
            units_BH = torch.addmm(bias_O, inputs[-1], weight_OI.t())
            if layer < len(weights) - 1:
                units_BH.relu_()
            if layer < len(masks):
                units_BH.mul_(masks[layer])
            inputs.append(units_BH)
        output_BO = inputs.pop()
        ctx.save_for_backward(*inputs, *weights)
        ctx.scale = LEVELS / (LEVELS - dropped)
        return output_BO

    @staticmethod
    @custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        inputs, weights = saved[: len(saved) // 2], saved[len(saved) // 2 :]
        gradient: Tensor | None = gradients[0]
        found: list[Tensor | None] = []
        for layer in range(len(weights) - 1, -1, -1):
            assert gradient is not None
            found = [torch.mm(gradient.t(), inputs[layer]), gradient.sum(0), *found]
            if layer:
                # beta=0: the first argument lends its shape only. What survived ReLU and dropout is positive.
                gradient = torch.addmm(inputs[layer], gradient, weights[layer], beta=0, alpha=ctx.scale)
                torch.ops.aten.threshold_backward.grad_input(gradient, inputs[layer], 0, grad_input=gradient)
            else:
                gradient = torch.mm(gradient, weights[0]) if ctx.needs_input_grad[0] else None
        return gradient, None, None, *found


def _written_out(x_BI: Tensor, dropped: int, masks: Sequence[Tensor], *parameters: Tensor) -> Tensor:
    output_BO: Tensor = _Layers.apply(x_BI, dropped, masks, *parameters)  # type: ignore[no-untyped-call]
    return output_BO


def to_array(tensor: Any) -> npt.NDArray[Any]:
    """Return the values of *tensor* as an array."""
    array: npt.NDArray[Any] = tensor.detach().cpu().numpy()
    return array
