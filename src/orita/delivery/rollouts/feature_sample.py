"""Of which answers the features are kept, and of which of their items.

Legend: R answers, N items of all of them, F features, K answers whose features are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.delivery.rollouts.hashing import hash_of
from orita.events.prediction_segment import ScoredRequest

__all__ = ["FeatureSample", "chance_of", "rows_given"]

_KEPT_A_SECOND = 50
"""Of about so many answers a second, of each segment, features are kept; of up to `_SLACK` times as many before the
share that is kept is lowered, of `_BURST` times as many in the second before it is."""
_SLACK, _BURST = 4, 10


def chance_of(request: str) -> float:
    """Return a number in [0, 1) by which answers are kept: those below the share."""
    return hash_of(request) / 2**64


class FeatureSample:
    """Which answers of one segment keep their features: by a hash of the request, so many a second.

    The share that is kept depends on nothing but the segment, so that whoever reads it again keeps the same. It is
    lowered after a second that had far too many, and not raised. What was kept before it was lowered is kept more
    densely than what comes after: who pools both takes the smaller share of the former, too (`orita.delivery.rollouts
    .drift` does).

    Args:
        place: of the list of features.
        features: how many it has.
    """

    def __init__(self, place: int, features: int) -> None:
        self.list, self._bytes = place, 4 * features
        self._second, self._seen, self._share = -1, 0, 1.0

    def shares(self, at: Sequence[int], requests: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return, answer by answer in the order of the segment, the share that is kept then; 0: it is not kept."""
        return np.array([self._share_of(*each) for each in zip(at, requests, strict=True)], np.float64)

    def _share_of(self, at: int, request: str) -> float:
        second = at // 1_000_000
        if second > self._second:
            if self._seen * self._share > _SLACK * _KEPT_A_SECOND:
                self._share = _KEPT_A_SECOND / self._seen
            self._second, self._seen = second, 0
        self._seen += 1
        if self._share < 1:
            return self._share if chance_of(request) < self._share else 0.0
        return 1.0 if self._seen <= _BURST * _KEPT_A_SECOND else 0.0

    def given(self, request: ScoredRequest) -> bytes | None:
        """Return what is kept of an answer that a model gave; None where it has no items."""
        ranks_N = np.frombuffer(request.ranks, np.int32)
        if not len(ranks_N):
            return None
        if not request.features:  # as Parquet has it
            return np.full(2 * self._bytes // 4, np.nan, np.float32).tobytes()
        first, other = _two(ranks_N)
        rows = [request.features[row * self._bytes : (row + 1) * self._bytes] for row in (first, other)]
        return b"".join(rows)


def _two(ranks_N: npt.NDArray[np.int32]) -> tuple[int, int]:
    """Return the place of the item ranked first, and of another one, the same where there is none."""
    first = int(np.argmin(ranks_N))
    return first, 0 if first else len(ranks_N) - 1


def rows_given(
    table: pa.Table,
    kept_K: npt.NDArray[np.intp],
    start_R: npt.NDArray[np.int64],
    counts_R: npt.NDArray[np.int64],
    ranks_N: npt.NDArray[np.int32],
) -> Iterator[bytes]:
    """Yield what `FeatureSample.given` returns, of the answers at *kept_K* in rows of Parquet.

    Args:
        table: N rows with the column ``features``.
        kept_K: places of answers that a model gave.
        start_R, counts_R: where answers begin, and how many items they have.
        ranks_N: places of items, from 1.
    """
    if not len(kept_K):
        return
    pairs = [_two(ranks_N[start_R[k] : start_R[k] + counts_R[k]]) for k in kept_K]
    rows = np.array(pairs, np.int64).reshape(len(kept_K), 2) + start_R[kept_K][:, None]
    taken = table["features"].take(pa.array(rows.ravel())).combine_chunks()
    columns = [pc.fill_null(values, np.nan).to_numpy(zero_copy_only=False) for values in taken.flatten()]
    x_KF = np.ascontiguousarray(np.stack(columns, axis=1), np.float32).reshape(len(kept_K), -1)
    yield from (row.tobytes() for row in x_KF)
