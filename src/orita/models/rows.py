"""Embeddings of ids: tables of which a batch reads, and training changes, only the rows it meets.

Legend: B rows of a batch, V rows of a table (row 0 is the unknown id), E columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["RowAdam", "id_table"]

_INITIAL_DEVIATION = 0.05


def id_table(vocabulary: int, width: int, generator: torch.Generator) -> Tensor:
    """Return a table of ``1 + vocabulary`` rows: *width* small random columns, then a bias column of zeros."""
    table_VE = torch.randn(1 + vocabulary, width + 1, generator=generator) * _INITIAL_DEVIATION
    table_VE[:, -1] = 0.0
    return table_VE


class RowAdam:
    """Adam on the rows that occur in a batch; rows that do not occur keep their values and moments.

    The second moment is one number a row, not one a cell: a third of the memory traffic, and no worse here.
    """

    def __init__(self, table_VE: Tensor, *, weight_decay: float) -> None:
        self.table_VE = table_VE
        self.mean_VE = torch.zeros_like(table_VE)
        self.square_V = torch.zeros(len(table_VE))
        self.count_V = torch.zeros(len(table_VE))
        self.weight_decay = weight_decay

    def moments(self) -> dict[str, Tensor]:
        """Return what a resumed training needs beside the table, by name."""
        return {"mean": self.mean_VE, "square": self.square_V, "count": self.count_V}

    def step(self, ids_B: Tensor, gradient_BE: Tensor, learning_rate: float) -> None:
        """Apply the gradients of the rows ``ids_B``, which may repeat."""
        rows_R, position_B = torch.unique(ids_B, return_inverse=True)
        gradient_RE = torch.zeros(len(rows_R), gradient_BE.shape[1]).index_add_(0, position_B, gradient_BE)
        values_RE = self.table_VE[rows_R]
        count_R = self.count_V[rows_R] + 1
        mean_RE = torch.lerp(gradient_RE, self.mean_VE[rows_R], 0.9)
        square_R = torch.lerp(gradient_RE.square().mean(1), self.square_V[rows_R], 0.999)
        scale_R = (square_R / (1 - 0.999**count_R)).sqrt_().add_(1e-8).mul_(1 - 0.9**count_R)
        values_RE -= learning_rate * (mean_RE / scale_R.unsqueeze(1) + self.weight_decay * values_RE)
        self.table_VE[rows_R] = values_RE
        self.mean_VE[rows_R], self.square_V[rows_R], self.count_V[rows_R] = mean_RE, square_R, count_R
