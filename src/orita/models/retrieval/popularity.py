"""The baseline of retrieval: what most users took, whoever asks."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np

from orita.models.package.manifest import Contents
from orita.models.retrieval.catalogue import Catalogue
from orita.models.retrieval.scorer import Floats, Queries

__all__ = ["Popularity"]


class Popularity:
    """The scorer of ``type: popularity``: the number of users who took an item."""

    type = "popularity"

    def __init__(self) -> None:
        self._takers_I: Floats = np.zeros(0, np.float32)

    def fit(self, catalogue: Catalogue, seed: int) -> dict[str, object]:
        """Take over the counts."""
        self._takers_I = catalogue.takers_I
        return {}

    def scores(self, queries: Queries) -> Floats:
        """Return ``scores_QI``, the same row for each query."""
        return np.tile(self._takers_I, (len(queries), 1))

    def write(self, folder: Path, stem: str) -> None:
        """Write nothing: the catalogue has the counts."""

    @classmethod
    def read(cls, contents: Contents, stem: str, catalogue: Catalogue) -> Self:
        """Take the counts from the catalogue."""
        scorer = cls()
        scorer.fit(catalogue, seed=0)
        return scorer
