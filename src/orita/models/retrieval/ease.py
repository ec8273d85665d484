"""A linear item-item model in closed form: which items speak for which others.

Legend: Q queries, U users, I items.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data" (2019): B minimises ‖X − XB‖² + λ‖B‖² with a zero diagonal,
and is −P ÷ diag(P) off the diagonal for P = (XᵀX + λI)⁻¹. Steck, "Autoencoders that don't overfit towards the Identity"
(2020): dropping each cell of the input with probability p, and taking the mean over all such drops, adds
p ÷ (1 − p) · diag(XᵀX) to the diagonal. A user of n items weighs n^−α, so that the few who took very much do
not decide alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import lapack

from orita.core.errors import UserError
from orita.models.package.manifest import Contents
from orita.models.retrieval.arrays import read_arrays, write_arrays
from orita.models.retrieval.catalogue import Catalogue
from orita.models.retrieval.config import EaseSection
from orita.models.retrieval.scorer import Floats, Queries

__all__ = ["Ease"]


class Ease:
    """The scorer of ``type: ease``.

    It holds I × I numbers, up to three arrays of 8 bytes each while it is fitted: 2.4 GB for 10,000 items. That is why
    ``max_items`` bounds it; of more items those that most users took are kept.
    """

    type = "ease"

    def __init__(self, section: EaseSection) -> None:
        self._section = section
        self._weights_II: Floats = np.zeros((0, 0), np.float32)

    def fit(self, catalogue: Catalogue, seed: int) -> dict[str, object]:
        """Solve for the weights; that a pair took place counts, not its weight. Nothing is random."""
        section = self._section
        taken_UI = sparse.csr_array(catalogue.seen_UI, copy=True)
        taken_UI.data[:] = 1.0
        size_U = np.diff(taken_UI.indptr)
        weight_U = np.maximum(size_U, 1.0) ** -section.user_weight_power
        weight_U *= len(size_U) / weight_U.sum()
        scaled_UI = sparse.diags_array(np.sqrt(weight_U)) @ taken_UI
        gram_II = (scaled_UI.T @ scaled_UI).toarray()
        diagonal_I = np.diag(gram_II).copy()
        drop = section.input_dropout / (1 - section.input_dropout)
        gram_II[np.diag_indices_from(gram_II)] += drop * diagonal_I + section.l2
        self._weights_II = _item_weights(gram_II)
        return section.model_dump(mode="json")

    def scores(self, queries: Queries) -> Floats:
        """Return ``scores_QI``: the weights of a history's items, times what each of them says."""
        history_QI = queries.history_QI
        if not self._section.use_weights:
            history_QI = history_QI.astype(bool).astype(np.float32)
        scores_QI: Floats = np.asarray(history_QI @ self._weights_II, np.float32)
        return scores_QI

    def write(self, folder: Path, stem: str) -> None:
        """Write the weights."""
        write_arrays(
            folder / f"{stem}.npz", weights=self._weights_II, use_weights=np.array([int(self._section.use_weights)])
        )

    @classmethod
    def read(cls, contents: Contents, stem: str, catalogue: Catalogue) -> Self:
        """Read the weights.

        Raises:
            UserError: the file is damaged or of other items.
        """
        count = len(catalogue.items)
        parts = read_arrays(contents, f"{stem}.npz", {"weights": ("f", (count, count)), "use_weights": ("i", (1,))})
        scorer = cls(EaseSection(use_weights=bool(parts["use_weights"][0])))
        scorer._weights_II = parts["weights"]
        return scorer


def _item_weights(gram_II: npt.NDArray[np.float64]) -> Floats:
    """Return B of the regularised Gram matrix, which is used up; by Cholesky, half the work of a general inverse."""
    inverse_II: Any
    factor_II, failed = lapack.dpotrf(gram_II.T, lower=0, overwrite_a=1)
    if failed == 0:
        inverse_II, failed = lapack.dpotri(factor_II, lower=0, overwrite_c=1)
    if failed != 0:
        raise UserError("the item matrix of ease cannot be inverted; raise l2 (it must be above 0).")
    inverse_II = np.triu(inverse_II) + np.triu(inverse_II, 1).T
    weights_II: Floats = (inverse_II / -np.diag(inverse_II)).astype(np.float32)
    weights_II[np.diag_indices_from(weights_II)] = 0.0
    return weights_II
