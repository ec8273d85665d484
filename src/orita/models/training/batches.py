"""Rows in memory, and batches cut from them: no loader, no worker, no row handled on its own.

Legend: N rows, B rows of a batch, D dense inputs, C categories, H heads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Rows", "batches", "seed_for"]

_CHUNK_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Rows:
    """Examples as a network reads them: rows of the id tables, prepared features, and what each head learns, in
    [0, 1] or NaN where a row does not say it; the first head learns the label.
    """

    users_N: Tensor
    items_N: Tensor
    dense_ND: Tensor
    categories_NC: Tensor
    y_NH: Tensor

    def __len__(self) -> int:
        return len(self.y_NH)

    def take(self, rows_B: Tensor) -> Rows:
        """Return the given rows."""
        return Rows(*(tensor.index_select(0, rows_B) for tensor in self._columns()))

    def part(self, start: int, stop: int) -> Rows:
        """Return a run of rows, without a copy."""
        return Rows(*(tensor[start:stop] for tensor in self._columns()))

    def to(self, device: torch.device) -> Rows:
        """Return the rows on *device*."""
        return Rows(*(tensor.to(device) for tensor in self._columns()))

    def _columns(self) -> tuple[Tensor, ...]:
        return self.users_N, self.items_N, self.dense_ND, self.categories_NC, self.y_NH


def batches(rows: Rows, batch_size: int, *, seed: int, first: int, device: torch.device) -> Iterator[tuple[int, Rows]]:
    """Yield ``(number, batch)`` over all rows in an order that *seed* fixes, from batch number *first* on.

    Many batches are gathered at once; each is then a run of rows, which costs nothing.
    """
    order_N = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    chunk_rows = batch_size * max(1, _CHUNK_ROWS // batch_size)
    for begin in range(first * batch_size, len(rows), chunk_rows):
        chunk = rows.take(order_N[begin : begin + chunk_rows]).to(device)
        for start in range(0, len(chunk), batch_size):
            yield (begin + start) // batch_size, chunk.part(start, start + batch_size)


def seed_for(seed: int, purpose: str, number: int) -> int:
    """Return the seed of one random draw of a training: of *purpose*, in an epoch or step of this *number*."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{number}".encode(), digest_size=7)
    return int.from_bytes(digest.digest())
