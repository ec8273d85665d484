"""How differently two models rank the items of one request: correlations, overlap of the top, shifts of scores.

Requests of one length are compared together. Items are ranked as servers rank them: by score, the highest first, equal
scores in the order of the request. Correlations look at the scores themselves and know ties.

    tau     Kendall's τ-b: pairs ordered alike less pairs ordered otherwise, ties counted (Kendall 1945)
    rho     Spearman's rank correlation, mean ranks for ties
    overlap share of the first k items that both have among their first k
    rbo     rank-biased overlap with persistence 0.9, extrapolated: overlap at every depth, the top weighing most
            (Webber, Moffat and Zobel 2010, equation 32); the first ten places have 86 % of the weight

Legend: R requests of N items each, two scores an item: of the champion and of the candidate.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau, rankdata

__all__ = ["MEASURES", "OVERLAPS", "compared"]

OVERLAPS = (5, 10)
MEASURES = (
    "tau",
    "rho",
    "top1",
    *(f"overlap{k}" for k in OVERLAPS),
    "rbo",
    "mean_shift",
    "mean_absolute_shift",
    "largest_shift",
)

_PERSISTENCE = 0.9
_MOST_BY_PAIRS = 256  # of more items a sort takes less than all pairs

Floats = npt.NDArray[np.float64]


def compared(
    champion: Sequence[npt.NDArray[np.float32]], candidate: Sequence[npt.NDArray[np.float32]]
) -> dict[str, Floats]:
    """Return each of `MEASURES` for every request, NaN where it says nothing.

    A correlation of scores that are all the same, the first item of one, and the first k of k or fewer say nothing.
    Shifts are the candidate's score less the champion's.

    Args:
        champion: the scores of each request, finite.
        candidate: likewise, as many a request.
    """
    found = {name: np.full(len(champion), np.nan) for name in MEASURES}
    lengths = np.array([len(scores) for scores in champion], np.int64)
    for length in np.unique(lengths[lengths > 0]).tolist():
        of_R = np.flatnonzero(lengths == length)
        a_RN = np.stack([champion[r] for r in of_R.tolist()]).astype(np.float64)
        b_RN = np.stack([candidate[r] for r in of_R.tolist()]).astype(np.float64)
        for name, values_R in _of_one_length(a_RN, b_RN).items():
            found[name][of_R] = values_R
    return found


def _places(scores_RN: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Return the place of each item in its request, from 0, as a server ranks by these scores."""
    order_RN = np.argsort(-scores_RN, axis=-1, kind="stable")
    place_RN = np.empty(order_RN.shape, np.int64)
    np.put_along_axis(place_RN, order_RN, np.broadcast_to(np.arange(scores_RN.shape[-1]), order_RN.shape), axis=-1)
    return place_RN


def _of_one_length(a_RN: Floats, b_RN: Floats) -> dict[str, Floats]:
    requests, items = a_RN.shape
    shift_RN = b_RN - a_RN
    agreed_RN = _agreed(_places(a_RN), _places(b_RN))
    nothing_R = np.full(requests, np.nan)
    return {
        "tau": _tau(a_RN, b_RN),
        "rho": _rho(a_RN, b_RN),
        "top1": agreed_RN[:, 0].astype(np.float64) if items > 1 else nothing_R,
        **{f"overlap{k}": agreed_RN[:, k - 1] / k if items > k else nothing_R for k in OVERLAPS},
        "rbo": _rank_biased_overlap(agreed_RN) if items > 1 else nothing_R,
        "mean_shift": shift_RN.mean(axis=1),
        "mean_absolute_shift": np.abs(shift_RN).mean(axis=1),
        "largest_shift": np.abs(shift_RN).max(axis=1),
    }


def _agreed(a_RN: npt.NDArray[np.int64], b_RN: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how many items both have among their first 1, 2, … N: those whose later place is before that."""
    requests, items = a_RN.shape
    later_RN = np.maximum(a_RN, b_RN) + items * np.arange(requests)[:, None]
    return np.bincount(later_RN.ravel(), minlength=requests * items).reshape(requests, items).cumsum(axis=1)


def _rank_biased_overlap(agreed_RN: npt.NDArray[np.int64]) -> Floats:
    depth_N = np.arange(1, agreed_RN.shape[1] + 1)
    weight_N = (1 - _PERSISTENCE) / _PERSISTENCE * _PERSISTENCE**depth_N
    share_RN = agreed_RN / depth_N
    found: Floats = share_RN @ weight_N + share_RN[:, -1] * _PERSISTENCE ** depth_N[-1]
    return found


def _tau(a_RN: Floats, b_RN: Floats) -> Floats:
    tau = _tau_by_pairs if a_RN.shape[1] <= _MOST_BY_PAIRS else _tau_by_sorting
    return np.array([tau(a_N, b_N) for a_N, b_N in zip(a_RN, b_RN, strict=True)])


def _tau_by_pairs(a_N: Floats, b_N: Floats) -> float:
    """Return τ-b from matrices of booleans, which of some dozens of items take less time than a sort."""
    above_a_NN, above_b_NN = a_N[:, None] > a_N, b_N[:, None] > b_N
    alike = np.count_nonzero(above_a_NN & above_b_NN)
    otherwise = np.count_nonzero(above_a_NN & (b_N[:, None] < b_N))
    pairs = np.count_nonzero(above_a_NN) * np.count_nonzero(above_b_NN)
    return (alike - otherwise) / pairs**0.5 if pairs else np.nan


def _tau_by_sorting(a_N: Floats, b_N: Floats) -> float:
    return float(kendalltau(a_N, b_N).statistic)


def _rho(a_RN: Floats, b_RN: Floats) -> Floats:
    a_RN = rankdata(a_RN, axis=1) - (a_RN.shape[1] + 1) / 2
    b_RN = rankdata(b_RN, axis=1) - (b_RN.shape[1] + 1) / 2
    spread_R = np.sqrt((a_RN**2).sum(axis=1) * (b_RN**2).sum(axis=1))
    rho_R = np.full(len(a_RN), np.nan)
    np.divide((a_RN * b_RN).sum(axis=1), spread_R, out=rho_R, where=spread_R > 0)
    found: Floats = np.clip(rho_R, -1.0, 1.0)
    return found
