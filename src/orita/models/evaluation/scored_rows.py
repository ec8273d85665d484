"""Rows with a model's scores, and what figures need of them beside: ranks, users, and how rare items are.

Legend: N rows, U users, I items.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.models.examples import Examples, Ids
from orita.stats import ranking
from orita.stats.resampling import RowMean

__all__ = ["Catalogue", "ScoredRows", "Scores"]

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The items there are, and how surprising each row's item is.

    Attributes:
        items: how many items could have been shown: those of the training rows and of the rows that are judged.
        information_N: −log2 of each row's item's share of the training rows; None without training rows.
    """

    items: int
    information_N: npt.NDArray[np.float64] | None

    @classmethod
    def of(cls, items_N: Ids, train: Examples | None) -> Catalogue:
        """Return the catalogue of *items_N* and the training rows."""
        seen = items_N[:0] if train is None else train.items_N
        known_I, item_K = np.unique(np.concatenate([seen, items_N]), return_inverse=True)
        if not len(seen):
            return cls(len(known_I), None)
        counts_I = np.bincount(item_K[: len(seen)], minlength=len(known_I))
        return cls(len(known_I), ranking.self_information(counts_I)[item_K[len(seen) :]])

    def take(self, rows: npt.NDArray[np.intp]) -> Catalogue:
        """Return the catalogue with the information of the given rows."""
        return Catalogue(self.items, None if self.information_N is None else self.information_N[rows])


class ScoredRows:
    """Rows with scores; sorting is done once, and only where a figure asks for it."""

    def __init__(self, scores_N: Scores, rows: Examples, catalogue: Catalogue) -> None:
        self.scores_N, self.rows, self.catalogue = scores_N, rows, catalogue
        self.y_N, self.items_N = rows.y_N, rows.items_N
        known_U, user_N = np.unique(rows.users_N, return_inverse=True)
        self.users, self.user_N = len(known_U), user_N.astype(np.int64)
        self.positives = int((rows.y_N > 0).sum())

    @cached_property
    def ranking(self) -> ranking.Ranking:
        """The rows ranked within each user."""
        return ranking.rank_groups(self.y_N, self.scores_N, self.user_N)

    def __len__(self) -> int:
        return len(self.y_N)

    def take(self, rows: npt.NDArray[np.intp]) -> ScoredRows:
        """Return the given rows with their scores."""
        return ScoredRows(self.scores_N[rows], self.rows.take(rows), self.catalogue.take(rows))

    def row_mean(self, values_N: npt.NDArray[Any]) -> RowMean:
        """Return the mean of a value of each row, users resampled."""
        return RowMean.of(values_N, self.user_N, self.users)
