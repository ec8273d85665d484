"""Dropout on a CPU: which cells are kept is read from a pool of random cells, not drawn anew for each layer.

Legend: B rows of a batch, H hidden units.

With torch's own dropout, drawing takes half of a training step on a CPU. Here a pool is drawn once in some steps, and
each layer of each step reads its mask from the pool at a random place: cells of one mask are as independent as before.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["LEVELS", "Masks"]

LEVELS = 256
"""One random byte decides a cell, so that a share of dropout is a number of 256."""

_STEPS_A_POOL = 16
_POOL, _PLACES = 1, 2  # streams of random numbers


class Masks:
    """Masks for every layer of a step, the same for a seed and a step whatever came before.

    Args:
        cells: the most that a mask can have.
        seed: fixes every mask.
    """

    def __init__(self, cells: int, seed: int) -> None:
        self._cells, self._seed = cells, seed
        self._turn = -1
        self._pools: dict[int, Tensor] = {}
        self._rows, self._first = 0, 0
        self._places = np.random.SFC64(0)

    def begin(self, step: int, rows: int, first: int) -> None:
        """Go to *step*, of a batch of *rows*; the layers of this process see those from *first* on."""
        if self._turn != step // _STEPS_A_POOL:
            self._turn = step // _STEPS_A_POOL
            self._pools = {}
        self._places = np.random.SFC64([self._seed, _PLACES, step])
        self._rows, self._first = rows, first

    def draw(self, dropped: int, rows: int, width: int) -> Tensor:
        """Return ``mask_BH``: of 256 cells *dropped* are 0, the others so large that the mean is 1."""
        if dropped not in self._pools:
            self._pools[dropped] = self._pool(dropped)
        pool = self._pools[dropped]
        place = int(self._places.random_raw()) % (len(pool) - self._rows * width + 1) + self._first * width
        return pool[place : place + rows * width].view(rows, width)

    def _pool(self, dropped: int) -> Tensor:
        """Draw twice what a mask can have, so that two masks seldom begin near each other."""
        bits = np.random.SFC64([self._seed, _POOL, self._turn, dropped]).random_raw(-(-2 * self._cells // 8))
        kept = torch.from_numpy((bits.view(np.uint8) >= dropped).view(np.int8))
        return kept.float().mul_(LEVELS / (LEVELS - dropped))
