"""In which order would a candidate show the items of a logged page?

By its scores, where the page stood in the order of the logging model's scores. Where rules, freshness or diversity
moved items, the log tells the order that they made, not how. The least that they must have done is taken to hold for
the candidate too: a factor on each item's score that makes the logging model's scores fall with the order shown, found
as the closest falling sequence (isotonic regression of log scores), and applied to the candidate's scores. So a
candidate that says what the logging model says has the same order, always.

Legend: N pages, K positions; arrays are in the order in which the logging model ranked.

Source: Barlow, Bartholomew, Bremner and Brunk (1972), Statistical inference under order restrictions (min-max formula).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["SAME_SCORE", "candidate_order", "falls"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ranks = npt.NDArray[np.intp]

SAME_SCORE = 1e-6
"""Scores that differ by no more say the same: so much a score of one model depends on how many are made at once."""

_LEAST_SCORE = 1e-9
_LAST = -1e30
_DIGITS = 9  # of logarithms of scores: what differs less is a tie, and stays as it was ranked


def candidate_order(score_NK: Floats, candidate_NK: Floats, there_NK: Flags, held_NK: Flags) -> Ranks:
    """Return ``rank_NK``: at each position of the candidate's order, how the logging model ranked the item, from 0.

    Args:
        score_NK: what the logging model said.
        candidate_NK: what the candidate says.
        there_NK: where a page has an item.
        held_NK: positions that a rule holds: their items stay.
    """
    log_NK, wanted_NK = (np.log(np.maximum(each, _LEAST_SCORE)) for each in (score_NK, candidate_NK))
    free_NK = there_NK & ~held_NK
    off_N = ~falls(score_NK, free_NK)
    base_NK = log_NK.copy()
    base_NK[off_N] = _falling(log_NK[off_N], free_NK[off_N])
    change_NK = np.where(np.abs(candidate_NK - score_NK) <= SAME_SCORE, 0.0, wanted_NK - log_NK)
    key_NK = np.where(there_NK, np.round(base_NK + change_NK, _DIGITS), _LAST)
    items_NK = np.argsort(np.where(held_NK, np.inf, -key_NK), axis=1, kind="stable")
    places_NK = np.argsort(held_NK, axis=1, kind="stable")
    rank_NK = np.empty_like(items_NK)
    np.put_along_axis(rank_NK, places_NK, items_NK, axis=1)
    alike_N = ~(change_NK.astype(bool) & free_NK).any(axis=1)
    rank_NK[alike_N] = np.arange(rank_NK.shape[1])
    return rank_NK


def falls(score_NK: Floats, free_NK: Flags) -> npt.NDArray[np.bool_]:
    """Tell of each page whether its scores, at the positions that are *free_NK*, fall with the position."""
    lowest_NK = np.minimum.accumulate(np.where(free_NK, score_NK, np.inf), axis=1)
    return np.asarray(~(free_NK & (score_NK > lowest_NK)).any(axis=1))


def _falling(value_NK: Floats, free_NK: Flags) -> Floats:
    """Return the closest sequences that fall, over the positions that are *free_NK*."""
    pages, width = value_NK.shape
    found_NK = np.empty_like(value_NK)
    at_once = max(1, 4_000_000 // max(1, width * width))
    for start in range(0, pages, at_once):
        part = slice(start, start + at_once)
        weight_NK = free_NK[part].astype(np.float64)
        upto_NK = np.pad(np.cumsum(weight_NK, axis=1), ((0, 0), (1, 0)))
        sum_NK = np.pad(np.cumsum(weight_NK * value_NK[part], axis=1), ((0, 0), (1, 0)))
        count_NKK = upto_NK[:, None, 1:] - upto_NK[:, :-1, None]  # of positions from (axis 1) to (axis 2)
        total_NKK = sum_NK[:, None, 1:] - sum_NK[:, :-1, None]
        mean_NKK = np.divide(total_NKK, count_NKK, out=np.full_like(total_NKK, -np.inf), where=count_NKK > 0)
        for place in range(width):
            found_NK[part, place] = mean_NKK[:, : place + 1, place:].max(axis=2).min(axis=1)
    return found_NK
