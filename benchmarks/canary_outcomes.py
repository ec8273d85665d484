"""What simulated users do, which becomes known later, joined to what they were shown by the controller's own code.

Legend: U users, I items of an answer, C columns of outcomes, N items shown to all users, K outcomes.

`ShownItems` lets the items of an answer wait until their window is over, as in a real rollout: whoever came counts then
and not when the outcome came. Only the hashes by which it finds an item's outcomes are drawn, not computed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from orita.delivery.rollouts import Checks
from orita.delivery.rollouts.answers import Answers
from orita.delivery.rollouts.looks import MetricBatch
from orita.delivery.rollouts.outcomes import Outcomes
from orita.delivery.rollouts.shown_items import Shown, windows_of

__all__ = ["LateOutcomes"]

_SECOND = 1_000_000

Floats = npt.NDArray[np.float64]


class LateOutcomes:
    """Outcomes of one rollout.

    Args:
        checks: which ask for them.
        versions: names, the champion's first.
        delay_seconds: from an answer to what follows from it on average, exponentially distributed.
        random: for delays.

    Attributes:
        columns: of outcomes, C of them.
    """

    def __init__(
        self, checks: Checks, versions: tuple[str, ...], delay_seconds: float, random: np.random.Generator
    ) -> None:
        self.columns = tuple(dict.fromkeys(checks.columns.values()))
        self._windows = windows_of(checks, self.columns, versions)
        self._delay, self._random = delay_seconds * _SECOND, random
        nothing = np.empty(0, np.int64)
        self._unknown = _outcomes(nothing.astype(np.uint64), nothing, nothing, np.empty((0, len(self.columns))))

    def show(
        self,
        at_U: npt.NDArray[np.int64],
        variant_U: npt.NDArray[np.int64],
        fresh_U: npt.NDArray[np.bool_],
        value_UIC: Floats,
        *,
        stage: int,
        until: int,
    ) -> None:
        """Let the items of answers wait for what becomes of them.

        Args:
            at_U: when each was given, microseconds.
            variant_U: place of its version.
            fresh_U: whether the rollout sees its user for the first time.
            value_UIC: what will be known of each item.
            stage: in which they were given.
            until: before which they were given, microseconds.
        """
        users, items, columns = value_UIC.shape
        user_N = np.repeat(np.arange(users), items)
        key_N, other_N = self._random.integers(0, 1 << 64, (2, len(user_N)), dtype=np.uint64)
        rank_N = np.tile(np.arange(1, items + 1, dtype=np.int32), users)
        answers = _answers(at_U, variant_U, items, rank_N)
        for window in self._windows:
            window.show(Shown(answers, fresh_U, user_N, rank_N, key_N, other_N), stage, until)
        value_NC = value_UIC.reshape(-1, columns)
        some_N = np.flatnonzero((value_NC > 0).any(axis=1))
        came_K = at_U[user_N[some_N]] + self._random.exponential(1.0, len(some_N)) * self._delay
        at_K = came_K.astype(np.int64)
        self._unknown = Outcomes.joined([self._unknown, _outcomes(key_N[some_N], at_K, at_K, value_NC[some_N])])

    def closed(self, until: int) -> Mapping[str, tuple[MetricBatch, ...]]:
        """Return, by check, the users whose windows were over at *until*, in microseconds."""
        known_K = self._unknown.known_K < until
        known, self._unknown = self._unknown.where(known_K), self._unknown.where(~known_K)
        found: dict[str, tuple[MetricBatch, ...]] = {}
        for window in self._windows:
            window.add(known)
            found |= window.closed(until)
        return found


def _outcomes(
    key_K: npt.NDArray[np.uint64], at_K: npt.NDArray[np.int64], known_K: npt.NDArray[np.int64], value_KC: Floats
) -> Outcomes:
    return Outcomes(key_K, np.ones(len(key_K), np.bool_), at_K, known_K, value_KC)


def _answers(
    at_U: npt.NDArray[np.int64], variant_U: npt.NDArray[np.int64], items: int, rank_N: npt.NDArray[np.int32]
) -> Answers:
    """Return answers of which waiting needs times, versions and items; the rest is empty."""
    users = len(at_U)
    nothing, zeros = np.full(users, "", object), np.zeros(users)
    return Answers(
        at_R=at_U,
        split_R=at_U,
        counted_R=at_U,
        user_R=nothing,
        hash_R=np.zeros(users, np.uint64),
        variant_R=variant_U,
        failed_R=np.zeros(users, np.bool_),
        latency_ms_R=zeros,
        score_R=zeros,
        request_R=nothing,
        list_R=np.full(users, -1),
        share_R=zeros,
        given_R=nothing,
        count_R=np.full(users, items),
        item_N=np.full(len(rank_N), "", object),
        rank_N=rank_N,
    )
