"""What is known of users and items beside who took what: groups of users, kinds of items.

Legend: Q queries, U users, I items, N entities of a table, G groups or kinds.

Two scorers made for `orita.models.retrieval.reranked`: alone they are weak, beside a collaborative score they tell what
few interactions cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.models.examples import Ids
from orita.models.package.manifest import Contents
from orita.models.retrieval.arrays import read_arrays, write_arrays
from orita.models.retrieval.catalogue import Catalogue
from orita.models.retrieval.scorer import Floats, Queries
from orita.models.vocabulary import Vocabulary

__all__ = ["GroupLift", "KindAffinity", "Traits"]

_FLOOR = 1e-5  # of a rate whose logarithm is taken


@dataclass(frozen=True, slots=True)
class Traits:
    """A table of yes-or-no traits.

    Attributes:
        ids_N: distinct ids of users or of items.
        has_NG: float32, 1 where the entity has the trait, else 0.
    """

    ids_N: Ids
    has_NG: Floats

    def of(self, known: Vocabulary) -> Floats:
        """Return the rows of the *known* ids, in their order; zeros for one that is not in the table.

        Raises:
            UserError: an id occurs twice, or ids and rows are not as many.
        """
        if len(self.ids_N) != len(self.has_NG) or len(set(self.ids_N.tolist())) != len(self.ids_N):
            raise UserError(f"traits have {len(self.ids_N)} ids for {len(self.has_NG)} rows; give each id one row.")
        rows_N = known.rows(self.ids_N)
        found = np.zeros((len(known) + 1, self.has_NG.shape[1]), np.float32)
        found[rows_N] = self.has_NG
        return found[1:]


class GroupLift:
    """How much more often than all users those of the asking user's groups take an item: a sum of log ratios.

    Args:
        traits: groups of users; a user who is not known, or in no group, scores 0.
        smoothing: so many average users are added to each group.
    """

    type = "group_lift"

    def __init__(self, traits: Traits | None, smoothing: float = 8.0) -> None:
        self._traits, self._smoothing = traits, smoothing
        self._groups_UG: Floats = np.zeros((0, 0), np.float32)
        self._lift_GI: Floats = np.zeros((0, 0), np.float32)

    def fit(self, catalogue: Catalogue, seed: int) -> dict[str, object]:
        """Count what each group took."""
        assert self._traits is not None, "one that was read is not fitted again"
        self._groups_UG = self._traits.of(catalogue.users)
        rate_I = catalogue.takers_I / len(catalogue.users)
        taken_UI = catalogue.seen_UI.astype(bool).astype(np.float32)
        size_G = self._groups_UG.sum(0)[:, None]
        rate_GI = ((taken_UI.T @ self._groups_UG).T + self._smoothing * rate_I) / (size_G + self._smoothing)
        self._lift_GI = np.log((rate_GI + _FLOOR) / (rate_I + _FLOOR)).astype(np.float32)
        return {"groups": len(size_G), "smoothing": self._smoothing}

    def scores(self, queries: Queries) -> Floats:
        """Return ``scores_QI``."""
        groups_QG = np.where(queries.user_Q[:, None] >= 0, self._groups_UG[queries.user_Q], np.float32(0))
        scores_QI: Floats = groups_QG @ self._lift_GI
        return scores_QI

    def write(self, folder: Path, stem: str) -> None:
        """Write groups and lifts."""
        write_arrays(folder / f"{stem}.npz", groups=self._groups_UG, lift=self._lift_GI)

    @classmethod
    def read(cls, contents: Contents, stem: str, catalogue: Catalogue) -> Self:
        """Read what `write` wrote.

        Raises:
            UserError: the file is damaged, or of other users or items.
        """
        shapes = {"groups": ("f", (len(catalogue.users), None)), "lift": ("f", (None, len(catalogue.items)))}
        parts = _same_width(
            read_arrays(contents, f"{stem}.npz", shapes), contents.where(f"{stem}.npz"), "groups", "lift"
        )
        scorer = cls(None)
        scorer._groups_UG, scorer._lift_GI = parts["groups"], parts["lift"]
        return scorer


class KindAffinity:
    """How much more of an item's kinds a history has than the histories of all users.

    Args:
        traits: kinds of items, such as genres.
    """

    type = "kind_affinity"

    def __init__(self, traits: Traits | None) -> None:
        self._traits = traits
        self._kinds_IG: Floats = np.zeros((0, 0), np.float32)
        self._usual_G: Floats = np.zeros(0, np.float32)

    def fit(self, catalogue: Catalogue, seed: int) -> dict[str, object]:
        """Take the mean of all users' shares."""
        assert self._traits is not None, "one that was read is not fitted again"
        self._kinds_IG = self._traits.of(catalogue.items)
        self._usual_G = self._shares(catalogue.seen_UI).mean(axis=0)
        return {"kinds": len(self._usual_G)}

    def scores(self, queries: Queries) -> Floats:
        """Return ``scores_QI``."""
        more_QG = self._shares(queries.history_QI) - self._usual_G
        scores_QI: Floats = np.asarray(more_QG @ self._kinds_IG.T, np.float32)
        return scores_QI

    def write(self, folder: Path, stem: str) -> None:
        """Write kinds and usual shares."""
        write_arrays(folder / f"{stem}.npz", kinds=self._kinds_IG, usual=self._usual_G)

    @classmethod
    def read(cls, contents: Contents, stem: str, catalogue: Catalogue) -> Self:
        """Read what `write` wrote.

        Raises:
            UserError: the file is damaged, or of other items.
        """
        shapes = {"kinds": ("f", (len(catalogue.items), None)), "usual": ("f", (None,))}
        parts = _same_width(
            read_arrays(contents, f"{stem}.npz", shapes), contents.where(f"{stem}.npz"), "kinds", "usual"
        )
        scorer = cls(None)
        scorer._kinds_IG, scorer._usual_G = parts["kinds"], parts["usual"]
        return scorer

    def _shares(self, history_QI: Any) -> Floats:
        size_Q = np.maximum(np.diff(history_QI.indptr), 1)[:, None].astype(np.float32)
        counts_QG: Floats = np.asarray(history_QI.astype(bool).astype(np.float32) @ self._kinds_IG, np.float32)
        shares_QG: Floats = counts_QG / size_Q
        return shares_QG


def _same_width(parts: dict[str, npt.NDArray[Any]], where: str, one: str, other: str) -> dict[str, npt.NDArray[Any]]:
    if parts[one].shape[1] != parts[other].shape[0]:
        raise UserError(f"{where} holds {one!r} and {other!r} that do not fit together; export the model again.")
    return parts
