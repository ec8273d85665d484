"""What would an item earn at another position of its page? A model of it, fitted on pages of other users.

It needs to be no good for `cascade_dr` to be right: a better one makes the interval narrower. It is ridge regression on
products of what the two models say and of how attention falls with the position.

Legend: N pages, K positions, M rows that a model is fitted on, F features of an item, D features of a position.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from orita.delivery.ope.pages import LoggedPages

__all__ = ["PageRewards"]

Floats = npt.NDArray[np.float64]

_FOLDS = 5
_MOST_ROWS = 200_000
_PENALTY = 1.0  # of the squares of coefficients, beside the sum of squared errors
_CLOSE_TO_CERTAIN = 1e-6


class PageRewards:
    """Predicts rewards by both models' scores and the position, each user's by a model that did not see that user.

    Args:
        pages: what was shown and earned.
        unit_N: 0 … G − 1, the users.
        seed: of the parting into folds.
    """

    def __init__(self, pages: LoggedPages, unit_N: npt.NDArray[np.int64], *, seed: int = 0) -> None:
        self._fold_N = (np.random.default_rng(seed).permutation(int(unit_N.max()) + 1) % _FOLDS)[unit_N]
        self._weights = [_fitted(pages, self._fold_N != fold, seed) for fold in range(_FOLDS)]

    @staticmethod
    def possible(pages: LoggedPages, unit_N: npt.NDArray[np.int64]) -> bool:
        """Tell whether there are users and rewards enough for a model."""
        return bool(int(unit_N.max()) + 1 >= 2 * _FOLDS and np.ptp(pages.reward_NK[pages.there()]) > 0)

    def predict(self, pages: LoggedPages, rows: npt.NDArray[np.intp]) -> Floats:
        """Return ``value_NKK``: of the item at a position (axis 1) if it stood at another (axis 2), of those *rows*.

        It is 0 where a page has no item or no such position.
        """
        part = pages.take(rows)
        there_NK = part.there()
        items_NKF = _items(part.score_NK, part.candidate_NK)
        weights_NFD = np.stack(self._weights)[self._fold_N[rows]]
        value_NKK = items_NKF @ weights_NFD @ _positions(there_NK.shape[1]).T
        return np.asarray(value_NKK * (there_NK[:, :, None] & there_NK[:, None, :]))


def _fitted(pages: LoggedPages, others_N: npt.NDArray[np.bool_], seed: int) -> Floats:
    """Return ``weights_FD`` of least squared error, penalised but for the mean."""
    page_M, place_M = np.nonzero(pages.there() & others_N[:, None])
    if len(page_M) > _MOST_ROWS:
        chosen = np.random.default_rng(seed).choice(len(page_M), _MOST_ROWS, replace=False)
        page_M, place_M = page_M[chosen], place_M[chosen]
    items_MF = _items(pages.score_NK[page_M, place_M], pages.candidate_NK[page_M, place_M])
    positions_MD = _positions(pages.reward_NK.shape[1])[place_M]
    shape = items_MF.shape[1], positions_MD.shape[1]
    x_MW = (items_MF[:, :, None] * positions_MD[:, None, :]).reshape(len(page_M), -1)
    penalty_W = np.full(x_MW.shape[1], _PENALTY)
    penalty_W[0] = 1e-9
    reward_M = pages.reward_NK[page_M, place_M].astype(np.float64)
    weights_W = np.linalg.solve(x_MW.T @ x_MW + np.diag(penalty_W), x_MW.T @ reward_M)
    return np.asarray(weights_W, np.float64).reshape(shape)


def _items(score: npt.NDArray[np.floating], candidate: npt.NDArray[np.floating]) -> Floats:
    """Return features of items on a last axis: 1 and the log-odds of each model's score."""
    ends = (_CLOSE_TO_CERTAIN, 1 - _CLOSE_TO_CERTAIN)
    odds = [logit(np.clip(each.astype(np.float64), *ends)) for each in (score, candidate)]
    return np.stack([np.ones(score.shape), *odds], axis=-1)


def _positions(width: int) -> Floats:
    """Return ``feature_KD``: 1, and how attention falls from the top in two shapes."""
    place_K = np.arange(width)
    return np.column_stack([np.ones(width), 1 / np.log2(place_K + 2), 1 / (place_K + 1)])
