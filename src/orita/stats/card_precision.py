"""How many of the cards that are looked at on a day were abused? The figure of people who check alarms.

Legend: N rows (payments), M rows of one day, C cards of that day.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["card_precision_at_k"]

Labels = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]


def card_precision_at_k(
    y_N: Labels, scores_N: Floats, cards_N: npt.NDArray[Any], days_N: npt.NDArray[np.int64], k: int = 100
) -> float:
    """Return the mean over days of abused cards among the day's *k* most suspicious cards ÷ *k*.

    NaN without rows, and where a score is NaN.

    A card is as suspicious as its most suspicious payment of the day, and abused if one of its payments of the day is a
    fraud. A card found on one day is blocked: it does not count on later days. Equal scores are broken by the order of
    the card ids. A day of fewer than *k* cards is divided by *k* all the same: so many could have been looked at.

    Le Borgne, Siblini, Lebichot and Bontempi, "Reproducible Machine Learning for Credit Card Fraud Detection –
    Practical Handbook" (2022), section 4.4.

    Args:
        y_N: 1 for a fraud, 0 otherwise.
        scores_N: the higher, the more suspicious.
        cards_N: whose payment it is, ids of any sortable kind.
        days_N: on which day, in any numbering that grows with time.
        k: how many cards are looked at a day, 1 or more.
    """
    if np.isnan(scores_N).any():
        return float("nan")
    found = cards_N[:0]
    shares = []
    for day in np.unique(days_N):
        row_M = np.flatnonzero(days_N == day)
        row_M = row_M[~np.isin(cards_N[row_M], found)]
        card_C, abused_C = _most_suspicious(y_N[row_M], scores_N[row_M], cards_N[row_M], k)
        shares.append(abused_C.sum() / k)
        found = np.concatenate([found, card_C[abused_C]])
    return float(np.mean(shares)) if shares else float("nan")


def _most_suspicious(
    y_M: Labels, scores_M: Floats, cards_M: npt.NDArray[Any], k: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Return the *k* cards of the highest scores, and which of them are abused."""
    card_C, card_M = np.unique(cards_M, return_inverse=True)
    score_C = np.full(len(card_C), -np.inf)
    np.maximum.at(score_C, card_M, scores_M)
    abused_C = np.bincount(card_M[y_M > 0], minlength=len(card_C)) > 0
    best = np.argsort(-score_C, kind="stable")[:k]
    return card_C[best], abused_C[best]
