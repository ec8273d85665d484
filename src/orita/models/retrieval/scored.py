"""A retriever that scores every item and takes the best: exact, and fast as long as there are some ten thousand items.

Legend: Q queries, I items, K items an answer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from orita.core.errors import UserError
from orita.models.examples import Ids
from orita.models.ranker import FitContext, FitReport
from orita.models.retrieval.catalogue import Catalogue
from orita.models.retrieval.interactions import History, Interactions
from orita.models.retrieval.retriever import Retrieved
from orita.models.retrieval.scorer import Queries, Scorer
from orita.models.retrieval.top import best, check_k

__all__ = ["ScoredRetriever"]

_BLOCK_CELLS = 8_000_000  # scores held at once, 32 MB


class ScoredRetriever:
    """A `Retriever` of any `Scorer`.

    Args:
        scorer: scores items; fitted by `fit`, or read.
        max_items: of more items than that only those that most users took are learnt and found.
        catalogue: what it remembers where the scorer is fitted already.
    """

    def __init__(self, scorer: Scorer, *, max_items: int | None = None, catalogue: Catalogue | None = None) -> None:
        self.scorer, self._max_items, self._catalogue = scorer, max_items, catalogue

    @property
    def type(self) -> str:
        """The type of the scorer."""
        return self.scorer.type

    def fit(self, interactions: Interactions, context: FitContext) -> FitReport:
        """Learn from *interactions*, and remember what each user has seen."""
        started = time.perf_counter()
        catalogue = Catalogue.of(interactions, max_items=self._max_items)
        params = self.scorer.fit(catalogue, context.seed)
        self._catalogue = catalogue
        sizes = {"users": len(catalogue.users), "items": len(catalogue.items), "pairs": int(catalogue.seen_UI.nnz)}
        return FitReport([{"epoch": 1.0, "seconds": time.perf_counter() - started}], {**params, **sizes})

    def retrieve(self, users_Q: Ids, k: int, *, exclude_seen: bool = True) -> Retrieved:
        """Return the *k* best items of each user."""
        catalogue = self.catalogue
        return self._answer(Queries(catalogue.of_users(users_Q), catalogue.users.rows(users_Q) - 1), k, exclude_seen)

    def retrieve_for(self, histories: Sequence[History], k: int, *, exclude_seen: bool = True) -> Retrieved:
        """Return the *k* best items of each history."""
        history_QI = self.catalogue.of_histories(histories)
        return self._answer(Queries(history_QI, np.full(len(histories), -1)), k, exclude_seen)

    def export(self, folder: Path) -> None:
        """Write the catalogue and the scorer into *folder*."""
        self.catalogue.write(folder)
        self.scorer.write(folder, "model")

    @property
    def catalogue(self) -> Catalogue:
        """What it remembers.

        Raises:
            UserError: it has not been fitted.
        """
        if self._catalogue is None:
            raise UserError(f"the {self.type} retriever has not been fitted; call fit before retrieve or export.")
        return self._catalogue

    def _answer(self, queries: Queries, k: int, exclude_seen: bool) -> Retrieved:
        check_k(k)
        catalogue = self.catalogue
        rows_QK = np.zeros((len(queries), k), np.int64)
        scores_QK = np.full((len(queries), k), -np.inf, np.float32)
        step = max(1, _BLOCK_CELLS // max(len(catalogue.items), 1))
        for start in range(0, len(queries), step):
            part = queries.part(start, start + step)
            scores_BI = np.array(self.scorer.scores(part), np.float32)
            empty_B = np.diff(part.history_QI.indptr) == 0
            scores_BI[empty_B] = catalogue.takers_I  # nothing is known of them: what most take
            if exclude_seen:
                scores_BI[part.history_QI.nonzero()] = -np.inf
            rows_QK[start : start + step], scores_QK[start : start + step] = best(scores_BI, k)
        items_QK: Ids = catalogue.items.ids_V[rows_QK]
        return Retrieved(items_QK, scores_QK)
