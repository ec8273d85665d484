"""Users and items as short vectors whose product is 1 where a user took an item and 0 elsewhere, solved in turns.

Legend: Q queries, U users, I items, B rows of a block, E width of the vectors.

Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets" (2008), with the objective and the
penalty by counts of Rendle et al., "Revisiting the Performance of iALS on Item Recommendation Benchmarks" (2022):
Σ over taken pairs (1 − ŷ)² + α₀ Σ over all pairs ŷ² + λ Σ over rows (count + α₀ · columns) ‖vector‖². A history is
given its vector by the same solution, so newcomers are no special case.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from orita.models.package.manifest import Contents
from orita.models.retrieval.arrays import read_arrays, write_arrays
from orita.models.retrieval.catalogue import Catalogue
from orita.models.retrieval.config import FactorsSection
from orita.models.retrieval.scorer import Floats, Queries

__all__ = ["Factors"]

_BLOCK = 2048  # rows whose equations are held at once


class Factors:
    """The scorer of ``type: factors``: implicit alternating least squares; weights are not looked at."""

    type = "factors"

    def __init__(self, section: FactorsSection) -> None:
        self._section = section
        self._items_IE: Floats = np.zeros((0, section.width), np.float32)

    def fit(self, catalogue: Catalogue, seed: int) -> dict[str, object]:
        """Solve for users and items in turns, from small random item vectors."""
        taken_UI = _taken(catalogue.seen_UI)
        taken_IU = sparse.csr_array(taken_UI.T)
        width = self._section.width
        start_IE = np.random.default_rng(seed).normal(0.0, 0.1 / np.sqrt(width), (taken_IU.shape[0], width))
        items_IE: npt.NDArray[np.float64] = start_IE
        for _ in range(self._section.rounds):
            items_IE = self._solve(taken_IU, self._solve(taken_UI, items_IE))
        self._items_IE = items_IE.astype(np.float32)
        return self._section.model_dump(mode="json")

    def scores(self, queries: Queries) -> Floats:
        """Return ``scores_QI``."""
        users_QE = self._solve(_taken(queries.history_QI), self._items_IE.astype(np.float64))
        scores_QI: Floats = users_QE.astype(np.float32) @ self._items_IE.T
        return scores_QI

    def write(self, folder: Path, stem: str) -> None:
        """Write the item vectors and what the solution for a history needs."""
        needed = np.array([self._section.unobserved_weight, self._section.l2])
        write_arrays(folder / f"{stem}.npz", items=self._items_IE, needed=needed)

    @classmethod
    def read(cls, contents: Contents, stem: str, catalogue: Catalogue) -> Self:
        """Read what `write` wrote.

        Raises:
            UserError: the file is damaged or of other items.
        """
        shapes = {"items": ("f", (len(catalogue.items), None)), "needed": ("f", (2,))}
        parts = read_arrays(contents, f"{stem}.npz", shapes)
        weight, l2 = parts["needed"].tolist()
        scorer = cls(FactorsSection(width=parts["items"].shape[1], unobserved_weight=weight, l2=l2))
        scorer._items_IE = parts["items"]
        return scorer

    def _solve(self, taken_RC: Any, columns_CE: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the vectors of the rows of *taken_RC*, given those of its columns."""
        alpha, width = self._section.unobserved_weight, columns_CE.shape[1]
        everywhere_EE = alpha * columns_CE.T @ columns_CE
        products_CP = (columns_CE[:, :, None] * columns_CE[:, None, :]).reshape(len(columns_CE), -1)
        penalty_R = self._section.l2 * (np.diff(taken_RC.indptr) + alpha * len(columns_CE))
        found_RE = np.empty((taken_RC.shape[0], width))
        for start in range(0, len(found_RE), _BLOCK):
            block = slice(start, start + _BLOCK)
            left_BEE = (taken_RC[block] @ products_CP).reshape(-1, width, width) + everywhere_EE
            left_BEE += penalty_R[block, None, None] * np.eye(width)
            right_BE = taken_RC[block] @ columns_CE
            found_RE[block] = np.linalg.solve(left_BEE, right_BE[:, :, None])[:, :, 0]
        return found_RE


def _taken(history_QI: Any) -> Any:
    taken_QI = sparse.csr_array(history_QI, dtype=np.float64, copy=True)
    taken_QI.data[:] = 1.0
    return taken_QI
