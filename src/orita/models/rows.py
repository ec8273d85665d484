"""Embeddings of ids: tables of which a batch reads, and training changes, only the rows it meets.

Legend: B rows of a batch, R distinct rows that it meets, V rows of a table (row 0 is the unknown id), E columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["RowAdam", "add_up", "distinct", "id_table"]

_INITIAL_DEVIATION = 0.05
_MEAN_DECAY, _SQUARE_DECAY, _EPSILON = 0.9, 0.999, 1e-8


def id_table(vocabulary: int, width: int, generator: torch.Generator, biases: int = 1) -> Tensor:
    """Return a table of ``1 + vocabulary`` rows: *width* small random columns, then columns of biases, all 0."""
    table_VE = torch.randn(1 + vocabulary, width + biases, generator=generator) * _INITIAL_DEVIATION
    table_VE[:, width:] = 0.0
    return table_VE


def distinct(ids_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct rows, sorted, and where among them each of ``ids_B`` is."""
    rows_R, position_B = torch.unique(ids_B, return_inverse=True)
    return rows_R, position_B


def add_up(gradient_BE: Tensor, position_B: Tensor, rows: int) -> Tensor:
    """Return ``gradient_RE``: for each of *rows* distinct rows the sum of what it received."""
    return gradient_BE.new_zeros(rows, gradient_BE.shape[1]).index_add_(0, position_B, gradient_BE)


class RowAdam:
    """Adam (Kingma and Ba, 2015) on the rows that a batch met; all others keep their values and moments.

    The second moment is one number a row, not one a cell: a third of the memory traffic, and no worse here. Moments
    lie side by side in one table, so that a step reads and writes memory at one place a row.
    """

    def __init__(self, table_VE: Tensor, *, weight_decay: float) -> None:
        self.table_VE = table_VE
        self.width = table_VE.shape[1]
        self.moments_VM = table_VE.new_zeros(len(table_VE), self.width + 2)  # mean, then square, then count of steps
        self.weight_decay = weight_decay

    def moments(self) -> dict[str, Tensor]:
        """Return what a resumed training needs beside the table, by name."""
        return {"moments": self.moments_VM}

    def read(self, rows_R: Tensor) -> Tensor:
        """Return ``values_RE``, a copy that gradients can be taken of."""
        return self.table_VE.index_select(0, rows_R).requires_grad_()

    def step(self, rows_R: Tensor, gradient_RE: Tensor, learning_rate: float) -> None:
        """Apply the gradients of rows ``rows_R``, each of which occurs once."""
        moments_RM = self.moments_VM.index_select(0, rows_R)
        mean_RE, square_R, count_R = moments_RM[:, : self.width], moments_RM[:, -2], moments_RM[:, -1]
        mean_RE.lerp_(gradient_RE, 1 - _MEAN_DECAY)
        square_R.lerp_(gradient_RE.square().mean(1), 1 - _SQUARE_DECAY)
        count_R.add_(1)
        scale_R = (square_R / (1 - _SQUARE_DECAY**count_R)).sqrt_().add_(_EPSILON).mul_(1 - _MEAN_DECAY**count_R)
        values_RE = self.table_VE.index_select(0, rows_R).mul_(1 - learning_rate * self.weight_decay)
        values_RE.addcdiv_(mean_RE, scale_R.unsqueeze(1), value=-learning_rate)
        self.table_VE.index_copy_(0, rows_R, values_RE)
        self.moments_VM.index_copy_(0, rows_R, moments_RM)
