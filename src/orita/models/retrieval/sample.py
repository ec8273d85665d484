"""What a package of a retriever must find: the best items of a few users, in ``sample.parquet``.

Legend: Q queries, K items an answer, N rows: one an item that was found.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from orita.core.errors import UserError
from orita.models.examples import Ids
from orita.models.package.tables import read_table
from orita.models.retrieval.retriever import Retrieved, Retriever

__all__ = ["SAMPLE_TOLERANCE", "SAMPLE_USERS", "RetrievedSample", "read_sample", "take_sample"]

SAMPLE_USERS, _SAMPLE_ITEMS = 32, 10
SAMPLE_TOLERANCE = 1e-4
"""Of a score, relative to the largest of its answer: sums of many float32 depend on the order that a CPU takes."""

_ID_TYPES = (pa.int64(), pa.string())


@dataclass(frozen=True, slots=True)
class RetrievedSample:
    """The answers to ``users_Q``: an item and its score a row, ``query_N`` says of which user; the best first."""

    users_Q: Ids
    query_N: npt.NDArray[np.int64]
    items_N: Ids
    scores_N: npt.NDArray[np.float32]

    def write(self, file: Path) -> None:
        """Write the answers; a user of whom nothing was found has no row, and so is not kept."""
        users_N: Any = self.users_Q[self.query_N]
        columns = {
            "user_id": _ids(users_N),
            "item_id": _ids(self.items_N),
            "score": pa.array(self.scores_N, pa.float32()),
        }
        pq.write_table(pa.table(columns), file)

    def check(self, retriever: Retriever, where: str) -> None:
        """Ask *retriever* for the same, and compare.

        Two items whose scores are nearer to each other than the tolerance may have changed places.

        Raises:
            UserError: an answer has other scores, or another item where no other has its score.
        """
        found = _rows_of(retriever.retrieve(self.users_Q, _SAMPLE_ITEMS))
        if not np.array_equal(found[0], self.query_N):
            raise UserError(f"{where} finds another number of items for its own sample; write the package again.")
        for query in range(len(self.users_Q)):
            of_query = self.query_N == query
            kept_K, now_K = self.scores_N[of_query], found[2][of_query]
            allowed = SAMPLE_TOLERANCE * max(1.0, float(np.abs(kept_K).max(initial=0.0)))
            alone_K = np.ones(len(kept_K), bool)
            near_K = np.abs(np.diff(kept_K)) <= 2 * allowed
            alone_K[1:] &= ~near_K
            alone_K[:-1] &= ~near_K
            alone_K[-1:] = False  # the next one, which is not kept, may have the same score
            same_K = np.asarray(self.items_N[of_query] == found[1][of_query])
            if not (np.abs(kept_K - now_K).max(initial=0.0) <= allowed and same_K[alone_K].all()):
                raise UserError(
                    f"{where} finds other items or scores for the user {self.users_Q[query]!r} of its own sample than "
                    "when it was written; write the package again."
                )


def take_sample(retriever: Retriever, users_Q: Ids) -> RetrievedSample:
    """Return what *retriever* finds for the first 32 of the distinct *users_Q*.

    Raises:
        UserError: there are no users, or nothing is found for any of them.
    """
    distinct: Any = np.unique(users_Q)[:SAMPLE_USERS]
    if len(distinct) == 0:
        raise UserError("the sample has 0 users; give some, a package proves itself by what it finds for them.")
    query_N, items_N, scores_N = _rows_of(retriever.retrieve(distinct, _SAMPLE_ITEMS))
    if len(query_N) == 0:
        raise UserError(
            f"nothing is found for the {len(distinct)} users of the sample: give users who have not seen every item."
        )
    answered, query_N = np.unique(query_N, return_inverse=True)
    return RetrievedSample(distinct[answered], query_N.astype(np.int64), items_N, scores_N)


def read_sample(content: bytes, where: str) -> RetrievedSample:
    """Read what `RetrievedSample.write` wrote.

    Raises:
        UserError: it is no sample, or has no rows.
    """
    allowed = {"user_id": _ID_TYPES, "item_id": _ID_TYPES, "score": (pa.float32(),)}
    table = read_table(content, where, "items that were found", [allowed], SAMPLE_USERS * _SAMPLE_ITEMS)
    if len(table) == 0:
        raise UserError(f"{where} has 0 rows: a package proves itself by what it finds, write it with some.")
    users_N, items_N = table.column("user_id").to_numpy(), table.column("item_id").to_numpy()
    users_Q, query_N = np.unique(users_N, return_inverse=True)
    if np.any(np.diff(query_N) < 0):
        raise UserError(f"{where} has the rows of a user apart from each other; write the package again.")
    return RetrievedSample(users_Q, query_N.astype(np.int64), items_N, table.column("score").to_numpy())


def _rows_of(found: Retrieved) -> tuple[npt.NDArray[np.int64], Ids, npt.NDArray[np.float32]]:
    there_QK = np.isfinite(found.scores_QK)
    items_N: Ids = found.items_QK[there_QK]
    return np.nonzero(there_QK)[0].astype(np.int64), items_N, found.scores_QK[there_QK].astype(np.float32)


def _ids(ids_N: Any) -> pa.Array:
    return pa.array(ids_N, pa.string() if ids_N.dtype == np.object_ else pa.int64())
