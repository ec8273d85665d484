"""Several processes that train one model: each takes its part of every batch, gradients are added up.

Legend: R distinct rows of a table that a batch meets, E columns.

All hold the same weights and apply the same step, so the result is that of one process with the same batches, but for
the order in which floating sums are taken. PyTorch's DistributedDataParallel does not handle id tables whose optimiser
touches single rows, hence two collective calls a step here: one sum for the network, one exchange for the tables.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, distributed

__all__ = ["Processes", "joined"]

T = TypeVar("T")


class Processes:
    """The processes of a training, seen from one of them; alone, every exchange is free."""

    def __init__(self, rank: int = 0, size: int = 1, device: torch.device | None = None) -> None:
        self.rank, self.size = rank, size
        self._device = device or torch.device("cpu")

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes checkpoints and draws progress."""
        return self.rank == 0

    def share(self, rows: int) -> tuple[int, int]:
        """Return which of *rows* rows of a batch are this process's: start and stop."""
        return rows * self.rank // self.size, rows * (self.rank + 1) // self.size

    def add_up(self, tensor: Tensor) -> None:
        """Replace *tensor* by its sum over all processes."""
        if self.size > 1:
            distributed.all_reduce(tensor)

    def gather(self, rows_R: Tensor, gradient_RE: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows and gradients of all processes, one after the other; a row may then occur again."""
        if self.size == 1:
            return rows_R, gradient_RE
        count = torch.tensor([len(rows_R)], device=rows_R.device)
        counts = [torch.zeros_like(count) for _ in range(self.size)]
        distributed.all_gather(counts, count)
        most = int(max(int(c) for c in counts))
        rows, gradients = (self._padded(tensor, most) for tensor in (rows_R, gradient_RE))
        kept = [slice(int(c)) for c in counts]
        return (
            torch.cat([part[keep] for part, keep in zip(rows, kept, strict=True)]),
            torch.cat([part[keep] for part, keep in zip(gradients, kept, strict=True)]),
        )

    def _padded(self, tensor: Tensor, rows: int) -> list[Tensor]:
        """Exchange a tensor that has fewer rows in some processes."""
        full = tensor.new_zeros(rows, *tensor.shape[1:])
        full[: len(tensor)] = tensor
        found = [torch.empty_like(full) for _ in range(self.size)]
        distributed.all_gather(found, full)
        return found

    def any(self, mine: bool) -> bool:
        """Tell whether it is so in any process."""
        if self.size == 1:
            return mine
        flag = torch.tensor([float(mine)], device=self._device)
        distributed.all_reduce(flag)
        return bool(flag)

    def agreed(self, make: Callable[[], T]) -> T:
        """Return what the first process makes, in every process: what is decided is decided once."""
        if self.size == 1:
            return make()
        value = [make() if self.is_first else None]
        distributed.broadcast_object_list(value)
        made: T = value[0]  # type: ignore[assignment]
        return made


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Join the processes that ``torchrun`` or Spark's TorchDistributor started; without them, be the only one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes()
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size(), device)
    finally:
        distributed.destroy_process_group()
