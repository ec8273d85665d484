"""What differs between retrievers that score every item: one method that learns, one that scores.

`orita.models.retrieval.scored.ScoredRetriever` makes a `Retriever` of any `Scorer`.

Legend: Q queries, U users, I items.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from orita.models.package.manifest import Contents
from orita.models.retrieval.catalogue import Catalogue

__all__ = ["Queries", "Scorer", "known_users"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Queries:
    """Who asks.

    Attributes:
        history_QI: what each of them took (CSR, weights as values).
        user_Q: the row of the user in the catalogue, −1 where nobody says who it is.
    """

    history_QI: Any
    user_Q: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.user_Q)

    def part(self, start: int, stop: int) -> Queries:
        """Return a run of queries."""
        return Queries(self.history_QI[start:stop], self.user_Q[start:stop])


class Scorer(Protocol):
    """Scores all items for a few histories at once."""

    @property
    def type(self) -> str:
        """The name under which it is found again when it is read."""
        ...

    def fit(self, catalogue: Catalogue, seed: int) -> dict[str, object]:
        """Learn from the histories of the catalogue; return what was fitted with, flat."""
        ...

    def scores(self, queries: Queries) -> Floats:
        """Return ``scores_QI``, finite; a score depends on its own query alone."""
        ...

    def write(self, folder: Path, stem: str) -> None:
        """Write files into *folder* whose names begin with *stem*."""
        ...

    @classmethod
    def read(cls, contents: Contents, stem: str, catalogue: Catalogue) -> Self:
        """Read what `write` wrote, of the verified bytes of a package."""
        ...


def known_users(catalogue: Catalogue) -> Queries:
    """Return the query of every user of the catalogue."""
    return Queries(catalogue.seen_UI, np.arange(len(catalogue.users)))
