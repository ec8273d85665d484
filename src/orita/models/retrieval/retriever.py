"""The contract of retrieval, on one screen: a few hundred items out of all, for a ranker to put in order.

A `Retriever` learns from `Interactions` and answers with the best items of a user it knows, or of a history that the
request brings. It writes itself down as arrays that are read without pickle and without the library it was trained
with (`orita.models.retrieval.package`). `orita.testing.check_retriever` checks any implementation, yours too.

Legend: Q queries, K items an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from orita.models.examples import Ids
from orita.models.ranker import FitContext, FitReport
from orita.models.retrieval.interactions import History, Interactions

__all__ = ["Retrieved", "Retriever"]


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The best items of each query, the best first.

    Attributes:
        items_QK: item ids.
        scores_QK: float32, falling; −inf where no item was left, and the id beside it means nothing. Scores compare
            items of one query, not queries.
    """

    items_QK: Ids
    scores_QK: npt.NDArray[np.float32]

    def of(self, query: int) -> tuple[Ids, npt.NDArray[np.float32]]:
        """Return the items of one query that there are, and their scores."""
        there_K = np.isfinite(self.scores_QK[query])
        items_K: Ids = self.items_QK[query][there_K]
        return items_K, self.scores_QK[query][there_K]


class Retriever(Protocol):
    """A model that finds items."""

    @property
    def type(self) -> str:
        """The model's type, such as ``ease``; `orita.models.retrieval.build.RETRIEVERS` has all."""
        ...

    def fit(self, interactions: Interactions, context: FitContext) -> FitReport:
        """Learn from *interactions*, and remember what each user has seen."""
        ...

    def retrieve(self, users_Q: Ids, k: int, *, exclude_seen: bool = True) -> Retrieved:
        """Return the *k* best items of each user; one who is unknown is answered as an empty history is."""
        ...

    def retrieve_for(self, histories: Sequence[History], k: int, *, exclude_seen: bool = True) -> Retrieved:
        """Return the *k* best items of each history; an empty one is answered with what most users take."""
        ...

    def export(self, folder: Path) -> None:
        """Write arrays, tables and graphs into *folder*: ``.npz``, ``.parquet``, ``.json``, ``.onnx``, never pickle."""
        ...
