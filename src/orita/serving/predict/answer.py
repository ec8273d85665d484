"""The answer of ``POST /predict``: items from best to worst.

Legend: N items of one request; ``order_N`` lists the request's items from best to worst.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from orita.serving.predict.outliers import Outliers

__all__ = ["PredictAnswer", "RankedItem", "ranked"]


class RankedItem(msgspec.Struct, frozen=True, gc=False):
    """One item of an answer: its score, a click probability, and its rank from 1."""

    item_id: int | str
    score: float
    rank: int


class PredictAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer of ``POST /predict``.

    Attributes:
        user_id: as asked.
        predictions: every item asked, best first; items of equal score in the order asked.
        model_version: which version is deployed; below level 1 its scores are older, or not its own.
        latency_ms: from the whole request in hand to the answer, in milliseconds.
        level: how good the answer is: 1 by the model, on features of now; 2 by scores of before; 3 by popularity; 4 by
            a list, or in the order asked.
        reason: why it is not of level 1, in a word; left out where it is.
        cached: whether the scores were computed for an earlier request; left out where they were not.
        outliers: what in the request is unlike the rows that the model was trained on; left out where nothing is.
    """

    user_id: int | str
    predictions: list[RankedItem]
    model_version: str
    latency_ms: float
    level: int
    reason: str | None = None
    cached: bool = False
    outliers: Outliers | None = None


def ranked(items: list[int | str], scores_N: npt.NDArray[np.float32]) -> tuple[list[RankedItem], npt.NDArray[np.int32]]:
    """Return the items best first, and ``ranks_N`` in the order of *items*; all are answered, so all are sorted."""
    order_N = (-scores_N).argsort(kind="stable")
    ranks_N = np.empty(len(items), np.int32)
    ranks_N[order_N] = np.arange(1, len(items) + 1, dtype=np.int32)
    best_first = [items[i] for i in order_N.tolist()]
    best = map(RankedItem, best_first, scores_N[order_N].tolist(), range(1, len(items) + 1))
    return list(best), ranks_N
