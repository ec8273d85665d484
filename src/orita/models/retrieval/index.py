"""The contract of a search for the nearest vectors: inner products, the highest first.

Legend: Q queries, I vectors, E their width, K answers a query.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Floats", "Index", "Rows"]

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


class Index(Protocol):
    """Finds vectors; safe to share between threads."""

    def __len__(self) -> int:
        """Return the number of vectors."""
        ...

    def search(self, queries_QE: Floats, k: int) -> tuple[Rows, Floats]:
        """Return ``rows_QK`` and ``scores_QK`` of the *k* highest inner products, falling.

        What is not there, or was not found, is row 0 with −inf, after all that was found. An approximate search may
        miss rows; it never gives another score than the exact one, and no row twice.

        Raises:
            UserError: the queries are not of the vectors' width, or *k* is below 1.
        """
        ...

    def write(self, file: Path) -> None:
        """Write the index as plain arrays (``.npz``)."""
        ...
