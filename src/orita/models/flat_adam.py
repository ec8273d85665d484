"""AdamW over all parameters of a network at once: they lie in one piece of memory, and a step is one pass over it.

Legend: P cells of all parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["FlatAdam"]


class FlatAdam:
    """AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019).

    Args:
        network: its parameters become views of one tensor; move it to its device before.
        weight_decay: times the learning rate, the share that weights shrink by in a step.
    """

    def __init__(self, network: nn.Module, weight_decay: float) -> None:
        self.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._cells_P = nn.Parameter(torch.cat([parameter.detach().reshape(-1) for parameter in self.parameters]))
        start = 0
        for parameter in self.parameters:
            parameter.data = self._cells_P.data[start : start + parameter.numel()].view_as(parameter)
            start += parameter.numel()
        self._adam = torch.optim.AdamW([self._cells_P], weight_decay=weight_decay, fused=True)
        self._adam.state[self._cells_P] = {
            "step": torch.zeros((), device=self._cells_P.device),
            "exp_avg": torch.zeros_like(self._cells_P),
            "exp_avg_sq": torch.zeros_like(self._cells_P),
        }

    def moments(self) -> dict[str, Tensor]:
        """Return what a resumed training needs beside the parameters, by name."""
        return dict(self._adam.state[self._cells_P])

    def step(self, gradient_P: Tensor, learning_rate: float) -> None:
        """Apply the gradients of all parameters, one after the other in ``gradient_P``."""
        self._adam.param_groups[0]["lr"] = learning_rate
        self._cells_P.grad = gradient_P
        self._adam.step()
