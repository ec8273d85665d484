"""What every retriever remembers: the items it can find, the users it knows, and what each of them has seen.

Legend: U users, I items, Q queries, N interactions. Sparse matrices are SciPy's CSR, float32: a row a user, a column an
item, the weight of the interaction as the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from orita.core.errors import UserError
from orita.models.examples import Ids
from orita.models.graph import ITEMS_FILE, USERS_FILE
from orita.models.package.manifest import Contents
from orita.models.package.tables import read_vocabulary
from orita.models.retrieval.arrays import read_arrays, write_arrays
from orita.models.retrieval.interactions import History, Interactions
from orita.models.vocabulary import Vocabulary

__all__ = ["CATALOGUE_FILES", "Catalogue"]

SEEN_FILE = "seen.npz"
CATALOGUE_FILES = (ITEMS_FILE, USERS_FILE, SEEN_FILE)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Items, users and histories.

    Attributes:
        items, users: the known ids.
        seen_UI: every user's history.
        takers_I: float32, how many users took each item.
    """

    items: Vocabulary
    users: Vocabulary
    seen_UI: Any
    takers_I: npt.NDArray[np.float32]

    @classmethod
    def of(cls, interactions: Interactions, *, max_items: int | None = None) -> Catalogue:
        """Return the catalogue of *interactions*; of *max_items* at most, those that most users took.

        A pair that occurs several times counts once, with its highest weight.

        Raises:
            UserError: there are no interactions.
        """
        if len(interactions) == 0:
            raise UserError("retrieval was given 0 interactions; give at least one.")
        users, items = Vocabulary.of(interactions.users_N), Vocabulary.of(interactions.items_N)
        user_N, item_N = users.rows(interactions.users_N) - 1, items.rows(interactions.items_N) - 1
        seen_UI = _matrix(user_N, item_N, interactions.weight_N, (len(users), len(items)))
        takers_I = np.bincount(seen_UI.indices, minlength=len(items)).astype(np.float32)
        if max_items is not None and len(items) > max_items:
            kept = np.sort(np.argsort(-takers_I, kind="stable")[:max_items])
            ids: Any = items.ids_V[kept]
            items, seen_UI, takers_I = Vocabulary(ids), sparse.csr_array(seen_UI[:, kept]), takers_I[kept]
        return cls(items, users, seen_UI, takers_I)

    def of_users(self, users_Q: Ids) -> Any:
        """Return ``history_QI`` of the given users; that of an unknown one is empty."""
        rows_Q = self.users.rows(users_Q)
        known_Q = rows_Q > 0
        found_QI = self.seen_UI[np.where(known_Q, rows_Q - 1, 0)]
        if not known_Q.all():
            found_QI = sparse.csr_array(sparse.diags_array(known_Q.astype(np.float32)) @ found_QI)
            found_QI.eliminate_zeros()
        return found_QI

    def of_histories(self, histories: Sequence[History]) -> Any:
        """Return ``history_QI``; items that are not known are passed over."""
        counts_Q = [len(history.items) for history in histories]
        query_N = np.repeat(np.arange(len(histories)), counts_Q)
        rows = [self.items.rows(history.items) for history in histories if len(history.items)]
        weights = [np.asarray(h.weights if h.weights is not None else np.ones(len(h.items)), "f4") for h in histories]
        item_N = np.concatenate(rows) - 1 if rows else np.zeros(0, np.int64)
        weight_N = np.concatenate(weights) if weights else np.zeros(0, np.float32)
        known_N = item_N >= 0
        shape = (len(histories), len(self.items))
        return _matrix(query_N[known_N], item_N[known_N], weight_N[known_N], shape)

    def write(self, folder: Path) -> None:
        """Write vocabularies and histories into *folder*."""
        self.items.write(folder / ITEMS_FILE)
        self.users.write(folder / USERS_FILE)
        seen = self.seen_UI
        write_arrays(folder / SEEN_FILE, starts=seen.indptr, items=seen.indices, weights=seen.data)

    @classmethod
    def read(cls, contents: Contents) -> Catalogue:
        """Read what `write` wrote.

        Raises:
            UserError: a file is not what its name promises.
        """
        items, users = (read_vocabulary(contents.content(f), contents.where(f)) for f in (ITEMS_FILE, USERS_FILE))
        shapes = {"starts": ("i", (len(users) + 1,)), "items": ("i", (None,)), "weights": ("f", (None,))}
        parts = read_arrays(contents, SEEN_FILE, shapes)
        starts_U, item_N, weight_N = parts["starts"], parts["items"], parts["weights"]
        fits = len(item_N) == len(weight_N) == starts_U[-1] and starts_U[0] == 0 and np.all(np.diff(starts_U) >= 0)
        if not fits or np.any((item_N < 0) | (item_N >= len(items))):
            raise UserError(
                f"{contents.where(SEEN_FILE)} does not fit to {ITEMS_FILE} and {USERS_FILE}; export it again."
            )
        seen_UI = sparse.csr_array((weight_N.astype(np.float32), item_N, starts_U), shape=(len(users), len(items)))
        return cls(items, users, seen_UI, np.bincount(item_N, minlength=len(items)).astype(np.float32))


def _matrix(
    row_N: npt.NDArray[np.int64],
    column_N: npt.NDArray[np.int64],
    weight_N: npt.NDArray[np.float32],
    shape: tuple[int, int],
) -> Any:
    """Return a CSR matrix in which a pair that occurs several times has its highest weight."""
    order_N = np.lexsort((-weight_N, column_N, row_N))
    row_N, column_N = row_N[order_N], column_N[order_N]
    first_N = np.ones(len(row_N), bool)
    first_N[1:] = (row_N[1:] != row_N[:-1]) | (column_N[1:] != column_N[:-1])
    found = (weight_N[order_N][first_N].astype(np.float32), (row_N[first_N], column_N[first_N]))
    return sparse.csr_array(found, shape=shape)
