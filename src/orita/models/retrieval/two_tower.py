"""Two-tower retrieval: user and item become vectors, and the nearest items are searched, exactly or approximately.

Legend: Q queries, E embedding width, K items an answer.

The user tower reads the history, not an id, so a newcomer is answered as soon as there is one item, and users need no
retraining. Trained by `orita.models.retrieval.sampled_softmax` (PyTorch); answers with NumPy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from orita.core.errors import UserError
from orita.core.extras import require
from orita.models.examples import Ids
from orita.models.package.manifest import Contents
from orita.models.ranker import FitContext, FitReport
from orita.models.retrieval.catalogue import Catalogue
from orita.models.retrieval.config import SearchSection, TwoTowerRetrievalSection
from orita.models.retrieval.exact import ExactIndex
from orita.models.retrieval.index import Floats, Index, Rows
from orita.models.retrieval.interactions import History, Interactions
from orita.models.retrieval.inverted_file import InvertedFile
from orita.models.retrieval.retriever import Retrieved
from orita.models.retrieval.top import best, check_k
from orita.models.retrieval.towers import Towers

__all__ = ["TwoTowerRetriever", "build_index"]

_EXACT_UP_TO = 100_000  # items; a look at all of more takes longer than some milliseconds
_BLOCK = 256
_TOWERS, _EXACT, _APPROXIMATE = "towers.npz", "index-exact.npz", "index-approximate.npz"


class TwoTowerRetriever:
    """The retriever of ``type: two_tower``."""

    def __init__(self, section: TwoTowerRetrievalSection, search: SearchSection) -> None:
        self._section, self._search = section, search
        self._fitted: tuple[Catalogue, Towers, Index] | None = None

    @property
    def type(self) -> str:
        """The model's type, as in the configuration."""
        return "two_tower"

    def fit(self, interactions: Interactions, context: FitContext) -> FitReport:
        """Train the towers, and build the index of the item vectors.

        Raises:
            UserError: there are no interactions.
            MissingExtra: PyTorch is not installed.
        """
        require("torch", extra="train")
        from orita.models.retrieval.sampled_softmax import train_towers

        catalogue = Catalogue.of(interactions)
        towers, history = train_towers(catalogue, self._section, context)
        self._fitted = catalogue, towers, build_index(towers.items_IE, self._search, context.seed)
        sizes = {"users": len(catalogue.users), "items": len(catalogue.items), "pairs": int(catalogue.seen_UI.nnz)}
        return FitReport(history, {**self._section.model_dump(mode="json"), **sizes})

    def retrieve(self, users_Q: Ids, k: int, *, exclude_seen: bool = True) -> Retrieved:
        """Return the *k* best items of each user."""
        return self._answer(self._parts()[0].of_users(users_Q), k, exclude_seen)

    def retrieve_for(self, histories: Sequence[History], k: int, *, exclude_seen: bool = True) -> Retrieved:
        """Return the *k* best items of each history."""
        return self._answer(self._parts()[0].of_histories(histories), k, exclude_seen)

    def export(self, folder: Path) -> None:
        """Write catalogue, towers and index into *folder*."""
        catalogue, towers, index = self._parts()
        catalogue.write(folder)
        towers.write(folder / _TOWERS)
        index.write(folder / (_EXACT if isinstance(index, ExactIndex) else _APPROXIMATE))

    @classmethod
    def read(cls, contents: Contents) -> Self:
        """Read what `export` wrote.

        Raises:
            UserError: a file is damaged or missing.
        """
        catalogue = Catalogue.read(contents)
        towers = Towers.read(contents, _TOWERS, len(catalogue.items))
        exact = _EXACT in contents.files
        index: Index = ExactIndex.read(contents, _EXACT) if exact else InvertedFile.read(contents, _APPROXIMATE)
        if len(index) != len(catalogue.items):
            raise UserError(
                f"{contents.folder} has an index of {len(index)} items, its catalogue {len(catalogue.items)}."
            )
        retriever = cls(TwoTowerRetrievalSection(), SearchSection())
        retriever._fitted = catalogue, towers, index
        return retriever

    def _answer(self, history_QI: Any, k: int, exclude_seen: bool) -> Retrieved:
        check_k(k)
        catalogue, towers, index = self._parts()
        answers = []
        for start in range(0, max(history_QI.shape[0], 1), _BLOCK):
            history_BI = history_QI[start : start + _BLOCK]
            seen_B = np.diff(history_BI.indptr)
            asked = min(k + (int(seen_B.max(initial=0)) if exclude_seen else 0), len(catalogue.items))
            rows_BA, scores_BA = index.search(towers.users(history_BI), asked)
            empty_B = seen_B == 0
            rows_BA[empty_B], scores_BA[empty_B] = best(catalogue.takers_I[None], asked)
            if exclude_seen:
                _forget_seen(rows_BA, scores_BA, history_BI)
            place_BK, scores_BK = best(scores_BA, k)
            answers.append((np.take_along_axis(rows_BA, place_BK, 1), scores_BK))
        rows_QK, scores_QK = (np.concatenate(parts) for parts in zip(*answers, strict=True))
        items_QK: Ids = catalogue.items.ids_V[rows_QK]
        return Retrieved(items_QK, scores_QK)

    def _parts(self) -> tuple[Catalogue, Towers, Index]:
        if self._fitted is None:
            raise UserError("the two_tower retriever has not been fitted; call fit before retrieve or export.")
        return self._fitted


def build_index(vectors_IE: Floats, section: SearchSection, seed: int) -> Index:
    """Return the index that *section* asks for."""
    approximate = section.method == "approximate" or (section.method == "auto" and len(vectors_IE) > _EXACT_UP_TO)
    return InvertedFile.build(vectors_IE, section, seed) if approximate else ExactIndex(vectors_IE)


def _forget_seen(rows_BA: Rows, scores_BA: Floats, history_BI: Any) -> None:
    for query in range(len(rows_BA)):
        seen = history_BI.indices[history_BI.indptr[query] : history_BI.indptr[query + 1]]
        scores_BA[query, np.isin(rows_BA[query], seen)] = -np.inf
