"""The search that looks at the few groups of vectors near the query: an inverted file over k-means.

Legend: Q queries, I vectors, E their width, L lists, P lists looked at, M vectors looked at, K answers a query.

Sivic and Zisserman, "Video Google" (2003); Jégou, Douze and Schmid, "Product Quantization for Nearest Neighbor Search"
(2011), without the quantisation: vectors are kept as they are, sorted by list, so a list is one slice of memory and one
matrix product. It is written in NumPy because that is as fast here as the libraries that do it
(``docs/decisions/0024-retrieval.md``), needs none of them where it serves, and its file is plain arrays.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Self

import numpy as np

from orita.core.errors import UserError
from orita.models.package.manifest import Contents
from orita.models.retrieval.arrays import read_arrays, write_arrays
from orita.models.retrieval.config import SearchSection
from orita.models.retrieval.exact import check_queries
from orita.models.retrieval.index import Floats, Rows
from orita.models.retrieval.top import best

__all__ = ["InvertedFile"]

_SAMPLE_PER_LIST = 64  # more vectors than that a list move its centre no further
_ROUNDS = 8
_BLOCK = 4096


class InvertedFile:
    """An approximate `Index`.

    Attributes:
        probes: how many lists a query looks at.
    """

    def __init__(self, vectors_IE: Floats, row_I: Rows, centres_LE: Floats, starts: Rows, probes: int) -> None:
        self._vectors_IE, self._row_I = vectors_IE, row_I
        self._centres_LE, self._starts = centres_LE, starts
        self.probes = min(probes, len(centres_LE))

    @classmethod
    def build(cls, vectors_IE: Floats, section: SearchSection, seed: int = 0) -> Self:
        """Return the index of *vectors_IE*; the same seed gives the same index."""
        vectors_IE = np.ascontiguousarray(vectors_IE, np.float32)
        count = section.lists or max(1, round(2 * math.sqrt(len(vectors_IE))))
        centres_LE = _centres(vectors_IE, min(count, max(len(vectors_IE), 1)), np.random.default_rng(seed))
        list_I = _nearest(vectors_IE, centres_LE)
        row_I = np.argsort(list_I, kind="stable").astype(np.int64)
        starts = np.searchsorted(list_I[row_I], np.arange(len(centres_LE) + 1)).astype(np.int64)
        return cls(vectors_IE[row_I], row_I, centres_LE, starts, section.probes)

    def __len__(self) -> int:
        return len(self._row_I)

    def search(self, queries_QE: Floats, k: int) -> tuple[Rows, Floats]:
        """Return ``rows_QK`` and ``scores_QK`` of the highest inner products among the lists near each query."""
        check_queries(queries_QE, self._vectors_IE.shape[1], k)
        rows_QK = np.zeros((len(queries_QE), k), np.int64)
        scores_QK = np.full((len(queries_QE), k), -np.inf, np.float32)
        if len(self) == 0:
            return rows_QK, scores_QK
        lists_QP, _ = best(queries_QE @ self._centres_LE.T, self.probes)
        for query, lists_P in enumerate(lists_QP):
            parts = [slice(self._starts[at], self._starts[at + 1]) for at in lists_P.tolist()]
            scores_M = np.concatenate([self._vectors_IE[part] @ queries_QE[query] for part in parts])
            row_M = np.concatenate([self._row_I[part] for part in parts])
            (at_K,), (scores_K,) = best(scores_M[None], k)
            found_K = np.isfinite(scores_K)
            rows_QK[query, found_K] = row_M[at_K[found_K]]
            scores_QK[query] = scores_K
        return rows_QK, scores_QK

    def write(self, file: Path) -> None:
        """Write vectors, lists and centres."""
        write_arrays(
            file,
            vectors=self._vectors_IE,
            rows=self._row_I,
            centres=self._centres_LE,
            starts=self._starts,
            probes=np.array([self.probes]),
        )

    @classmethod
    def read(cls, contents: Contents, name: str) -> Self:
        """Read what `write` wrote.

        Raises:
            UserError: the file is damaged, or its parts do not fit together.
        """
        two, one = (None, None), (None,)
        kinds = {"rows": ("i", one), "starts": ("i", one), "probes": ("i", (1,))}
        a = read_arrays(contents, name, {"vectors": ("f", two), "centres": ("f", two), **kinds})
        count, starts = len(a["vectors"]), a["starts"]
        fits = (
            a["centres"].shape[1] == a["vectors"].shape[1]
            and len(starts) == len(a["centres"]) + 1
            and (starts[0], starts[-1]) == (0, count)
            and bool(np.all(np.diff(starts) >= 0))
            and np.array_equal(np.sort(a["rows"]), np.arange(count))
            and int(a["probes"][0]) >= 1
        )
        if not fits:
            raise UserError(f"the parts of {contents.where(name)} do not fit together; export the model again.")
        return cls(a["vectors"], a["rows"], a["centres"], starts, int(a["probes"][0]))


def _centres(vectors_IE: Floats, count: int, random: np.random.Generator) -> Floats:
    """Return *count* centres of a sample by Lloyd's rounds; an empty list is given a vector of the sample."""
    size = min(len(vectors_IE), _SAMPLE_PER_LIST * count)
    sample_SE = vectors_IE[random.choice(len(vectors_IE), size, replace=False)]
    centres_LE = sample_SE[:count].copy()
    for _ in range(_ROUNDS if size > count else 0):
        list_S = _nearest(sample_SE, centres_LE)
        order_S = np.argsort(list_S, kind="stable")
        filled, first = np.unique(list_S[order_S], return_index=True)
        sums_FE = np.add.reduceat(sample_SE[order_S], first, axis=0)
        centres_LE[filled] = sums_FE / np.bincount(list_S)[filled][:, None]
        empty = np.setdiff1d(np.arange(count), filled)
        centres_LE[empty] = sample_SE[random.choice(size, len(empty), replace=False)]
    return centres_LE


def _nearest(vectors_IE: Floats, centres_LE: Floats) -> Rows:
    """Return for each vector the centre at the smallest Euclidean distance."""
    nearest_I = np.zeros(len(vectors_IE), np.int64)
    half_L = (centres_LE**2).sum(1) / 2
    for start in range(0, len(vectors_IE), _BLOCK):
        block = slice(start, start + _BLOCK)
        nearest_I[block] = np.argmax(vectors_IE[block] @ centres_LE.T - half_L, axis=1)
    return nearest_I
