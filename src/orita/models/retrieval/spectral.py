"""The few strongest directions in which users and items vary together: a smooth view beside item-item weights.

Legend: Q queries, U users, I items, D directions.

The matrix of who took what is divided by the roots of its row and column sums, and its leading right singular vectors V
are kept: a low-pass filter on the graph of users and items (Shen et al., "How Powerful is Graph Convolution for
Recommendation?", 2021). A history x scores x S⁻¹ V Vᵀ S, with S the roots of the items' counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from orita.models.package.manifest import Contents
from orita.models.retrieval.arrays import read_arrays, write_arrays
from orita.models.retrieval.catalogue import Catalogue
from orita.models.retrieval.scorer import Floats, Queries

__all__ = ["Spectral"]


class Spectral:
    """The scorer of ``type: spectral``.

    Args:
        directions: how many singular vectors are kept, fewer where there are fewer users or items.
    """

    type = "spectral"

    def __init__(self, directions: int = 24) -> None:
        self._directions = directions
        self._basis_ID: Floats = np.zeros((0, 0), np.float32)
        self._root_I: Floats = np.zeros(0, np.float32)

    def fit(self, catalogue: Catalogue, seed: int) -> dict[str, object]:
        """Find the directions; the search for them starts at the same vector whatever the seed."""
        taken_UI = sparse.csr_array(catalogue.seen_UI, dtype=np.float64, copy=True)
        taken_UI.data[:] = 1.0
        size_U = np.maximum(np.diff(taken_UI.indptr), 1)
        self._root_I = np.sqrt(np.maximum(catalogue.takers_I, 1.0)).astype(np.float32)
        scaled_UI = sparse.diags_array(size_U**-0.5) @ taken_UI @ sparse.diags_array(1.0 / self._root_I)
        count = min(self._directions, min(taken_UI.shape) - 1)
        if count < 1:
            self._basis_ID = np.zeros((len(catalogue.items), 0), np.float32)
        else:
            _, _, basis_DI = svds(scaled_UI, k=count, v0=np.ones(min(taken_UI.shape)))
            self._basis_ID = np.ascontiguousarray(basis_DI.T, np.float32)
        return {"directions": count}

    def scores(self, queries: Queries) -> Floats:
        """Return ``scores_QI``."""
        scaled_QI = queries.history_QI @ sparse.diags_array(1.0 / self._root_I)
        scores_QI: Floats = np.asarray((scaled_QI @ self._basis_ID) @ self._basis_ID.T * self._root_I, np.float32)
        return scores_QI

    def write(self, folder: Path, stem: str) -> None:
        """Write directions and roots."""
        write_arrays(folder / f"{stem}.npz", basis=self._basis_ID, root=self._root_I)

    @classmethod
    def read(cls, contents: Contents, stem: str, catalogue: Catalogue) -> Self:
        """Read what `write` wrote.

        Raises:
            UserError: the file is damaged or of other items.
        """
        count = len(catalogue.items)
        parts = read_arrays(contents, f"{stem}.npz", {"basis": ("f", (count, None)), "root": ("f", (count,))})
        scorer = cls(parts["basis"].shape[1])
        scorer._basis_ID, scorer._root_I = parts["basis"], np.maximum(parts["root"], np.float32(1.0))
        return scorer
