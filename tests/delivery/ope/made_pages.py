"""Logs of pages whose truth is known: items of known appeal, swaps as a feed draws them, rewards by item and place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.delivery.bandits import SwapExploration
from orita.delivery.ope.pages import LoggedPages

__all__ = ["World", "made_pages"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class World:
    """Pages, and what each policy earns on average, computed by hand from the appeals.

    Attributes:
        pages: the log.
        logged: the logging policy's value a page, with its exploration.
        candidate: the candidate's, in the order of its scores, with those of its swaps that the log shows too.
    """

    pages: LoggedPages
    logged: float
    candidate: float


def made_pages(
    count: int,
    *,
    width: int = 4,
    share: float = 0.4,
    pairs: str = "adjacent",
    differs: float = 0.3,
    seed: int = 0,
    users: int | None = None,
) -> World:
    """Return a log: the candidate exchanges two neighbours of the logged order on a share *differs* of the pages.

    An item's chance of a click is its appeal over the square root of its place from 1; the candidate's scores are the
    logged ones but for the two that it exchanges.
    """
    rng = np.random.default_rng(seed)
    exploration = SwapExploration(share=share, positions=width, pairs=pairs)  # type: ignore[arg-type]
    scores_NK = -np.sort(-rng.uniform(0.1, 0.9, (count, width)), axis=1)
    appeal_NK = np.clip(scores_NK + rng.normal(0, 0.2, scores_NK.shape), 0.02, 0.98)
    candidate_NK = scores_NK.copy()
    at_N = rng.integers(0, width - 1, count)
    for row in np.flatnonzero(rng.random(count) < differs).tolist():
        two = [at_N[row], at_N[row] + 1]
        candidate_NK[row, two] = candidate_NK[row, two[::-1]]
    seen_K = 1 / np.sqrt(np.arange(1, width + 1))
    placed_KK = exploration.placements(width)
    order_NK = np.argsort(-candidate_NK, axis=1, kind="stable")
    plain_NK = np.take_along_axis(appeal_NK, order_NK, axis=1)
    logged_N = np.einsum("nr,rk,k->n", appeal_NK, placed_KK, seen_K)
    each = share / (width - 1 if pairs == "adjacent" else width * (width - 1) // 2)
    # The one swap of the candidate that the log shows too is the one back.
    differs_N = (order_NK != np.arange(width)).any(axis=1)
    candidate_N = np.where(differs_N, (1 - each) * plain_NK @ seen_K + each * appeal_NK @ seen_K, logged_N)
    shown = [exploration.shown(width, rng) for _ in range(count)]
    shown_NK = np.stack([each.order_N for each in shown])
    propensity_NK = np.exp(np.stack([each.log_propensities_N for each in shown])).astype(np.float32)
    placement_NK = placed_KK[shown_NK, np.arange(width)].astype(np.float32)
    clicks_NK = rng.random(scores_NK.shape) < np.take_along_axis(appeal_NK, shown_NK, axis=1) * seen_K
    ids = np.arange(count).astype(np.uint64)
    pages = LoggedPages(
        ids,
        ids if users is None else rng.integers(0, users, count).astype(np.uint64),
        np.full(count, width),
        clicks_NK.astype(np.float32),
        np.take_along_axis(scores_NK, shown_NK, axis=1).astype(np.float32),
        np.take_along_axis(candidate_NK, shown_NK, axis=1).astype(np.float32),
        propensity_NK,
        placement_NK,
    )
    return World(pages, float(logged_N.mean()), float(candidate_N.mean()))
