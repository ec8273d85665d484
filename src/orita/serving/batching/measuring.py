"""Does a model gain by scoring several requests in one run? It is measured when it is loaded, not known by its type.

A run of a graph costs something by itself, and something for each row. Where rows are few the first is most of it, and
eight requests in one run cost little more than one; where they are many nothing is gained, or lost: a graph that takes
user and context once a request has to take them once a row then.

Legend: N rows of one request, F features.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from orita.core.checkpoints import checkpoint
from orita.serving.batching.config import BatchingConfig
from orita.serving.protocols import ScoringPackage

__all__ = ["ScoreRequests", "gains_up_to", "joins_up_to", "joint_scores_of"]

ROWS = (1, 2, 4, 8, 16, 32)
"""Rows of a request that are tried; past the last one the features of a request cost far more than a run by itself."""
_TOGETHER, _TIMES = 8, 3
_MOST_SHARE = 0.4

Floats = npt.NDArray[np.float32]


class ScoreRequests(Protocol):
    """Scores several requests in one run."""

    def __call__(
        self, user_ids: Sequence[int | str], lengths: Sequence[int], item_ids: Sequence[int | str], x_NF: Floats, /
    ) -> Floats:
        """Return ``scores_N`` of all requests, one after the other; *lengths* says how many rows each has."""
        ...


def joint_scores_of(package: ScoringPackage) -> ScoreRequests | None:
    """Return what scores several requests in one run of *package*, None where it cannot."""
    found: ScoreRequests | None = getattr(package, "score_requests", None)
    return found


def joins_up_to(package: ScoringPackage, config: BatchingConfig, max_items: int) -> int:
    """Return how many items requests may have at most to be scored with others, as *config* says; 0: none is.

    Args:
        package: scores them.
        config: whether it is to be measured.
        max_items: how many they may have in any case.
    """
    if config.enabled == "never" or joint_scores_of(package) is None:
        return 0
    return max_items if config.enabled == "always" else gains_up_to(package)


def gains_up_to(package: ScoringPackage, seconds: Callable[[], float] = time.thread_time) -> int:
    """Return how many items requests may have that gain by one run: 0, none do.

    Eight of them cost at most 0.4 of what they cost one after the other, and so do eight that have fewer items.

    Args:
        package: is measured, for some milliseconds.
        seconds: the clock; processor time of this thread, so that others take nothing from it.
    """
    joint, gains = joint_scores_of(package), 0
    if joint is None:
        return 0
    for rows in ROWS:
        x_NF, items = np.zeros((rows, len(package.schema)), np.float32), list(range(rows))
        in_one = partial(
            joint, [0] * _TOGETHER, [rows] * _TOGETHER, items * _TOGETHER, np.concatenate([x_NF] * _TOGETHER)
        )
        alone = partial(_one_by_one, package, items, x_NF)
        if not _least(in_one, seconds) <= _MOST_SHARE * _least(alone, seconds):
            return gains
        gains = rows
    return gains


def _one_by_one(package: ScoringPackage, items: list[int], x_NF: Floats) -> None:
    for _ in range(_TOGETHER):
        package.score_user(0, items, x_NF)


def _least(work: Callable[[], object], seconds: Callable[[], float]) -> float:
    """Return the least time that *work* took; what else the machine does only adds."""
    work()
    took = []
    for _ in range(_TIMES):
        checkpoint()
        started = seconds()
        work()
        took.append(seconds() - started)
    return min(took)
