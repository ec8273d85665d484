"""What users were shown: each item waits until its window is over, then it had an outcome or had none.

Legend: U users, N items shown to all of them, K outcomes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.delivery.rollouts.answers import Answers, hash_of
from orita.delivery.rollouts.looks import MetricBatch, MetricCounts
from orita.delivery.rollouts.outcomes import Outcomes

__all__ = ["ShownItems"]

Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

_MANY = 10_000
_MOST_ITEMS = 20_000_000
"""So many may wait; users who come then are not counted, whatever they do."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """Users of one look: whose version they had, how many items they were shown, and the keys of these."""

    stage: int
    end: int
    fresh_U: Flags
    variant_U: npt.NDArray[np.int64]
    count_U: npt.NDArray[np.int64]
    at_N: npt.NDArray[np.int64]
    by_request_N: Hashes
    by_user_N: Hashes


class ShownItems:
    """Items that wait for an outcome.

    Args:
        versions: names, by the places of `Answers.variant_R`.
        window_micros: outcomes count until so long after the answer.
        grace_micros: what becomes known so much later still counts.
        top: only items at this place or above count; 0: all.

    Attributes:
        left_out: users who were not counted, as too many items waited.
        outcomes: how many were taken.
        late: those of them that became known after any item's window and grace were over.
    """

    def __init__(self, versions: tuple[str, ...], *, window_micros: int, grace_micros: int, top: int) -> None:
        self._versions, self._window, self._grace = versions, window_micros, grace_micros
        self._top = top or np.iinfo(np.int32).max
        self._waiting: deque[_Waiting] = deque()
        self._items = 0
        self._new: list[Outcomes] = []
        self._known = Outcomes.joined([])
        self.left_out = self.outcomes = self.late = 0

    def show(self, answers: Answers, fresh_U: Flags, stage: int, end: int) -> None:
        """Let the items of one answer each of some users wait; all were given before *end*, in microseconds."""
        wanted_N = answers.rank_N <= self._top
        user_N = np.repeat(np.arange(len(answers)), answers.count_R)[wanted_N]
        if self._items + len(user_N) > _MOST_ITEMS:
            self.left_out += len(answers)
            return
        items = answers.item_N[wanted_N].tolist()
        requests, ids = answers.request_R[user_N].tolist(), answers.user_R[user_N].tolist()
        by_request = [hash_of(request, item) for request, item in zip(requests, items, strict=True)]
        by_user = [hash_of(user, item, "") for user, item in zip(ids, items, strict=True)]
        self._waiting.append(
            _Waiting(
                stage=stage,
                end=end,
                fresh_U=fresh_U,
                variant_U=answers.variant_R,
                count_U=np.bincount(user_N, minlength=len(answers)),
                at_N=answers.at_R[user_N],
                by_request_N=np.array(by_request, np.uint64),
                by_user_N=np.array(by_user, np.uint64),
            )
        )
        self._items += len(user_N)

    def add(self, outcomes: Outcomes) -> None:
        """Take what became known."""
        self._new.append(outcomes)
        self.outcomes += len(outcomes)
        self.late += int((outcomes.known_K - outcomes.at_K > self._window + self._grace).sum())

    def due(self, until: int) -> bool:
        """Whether there is something to do at *until*, in microseconds: users whose time is over, or much to let go."""
        over = bool(self._waiting) and self._waiting[0].end + self._window + self._grace <= until
        return over or sum(map(len, self._new)) > _MANY

    def closed(self, until: int) -> tuple[MetricBatch, ...]:
        """Return the users whose window and grace were over at *until*, in microseconds."""
        due = []
        while self._waiting and self._waiting[0].end + self._window + self._grace <= until:
            due.append(self._waiting.popleft())
        first = due[0] if due else self._waiting[0] if self._waiting else None
        oldest = until - self._window - self._grace if first is None else int(first.at_N.min(initial=first.end))
        if due or sum(map(len, self._new)) > _MANY:
            self._known = Outcomes.joined([self._known, *self._new])
            self._known = self._known.where(self._known.at_K >= oldest)
            self._new = []
        return tuple(batch for users in due for batch in self._batches(users))

    def _batches(self, users: _Waiting) -> Iterator[MetricBatch]:
        self._items -= len(users.at_N)
        outcome_N = self._had_outcome(users)
        user_N = np.repeat(np.arange(len(users.count_U)), users.count_U)
        outcomes_U = np.bincount(user_N, outcome_N, minlength=len(users.count_U))
        for fresh in (True, False):
            counts = {}
            for place, version in enumerate(self._versions):
                of_U = (users.variant_U == place) & (users.fresh_U == fresh) & (users.count_U > 0)
                if of_U.any():
                    counts[version] = MetricCounts.of(users.count_U[of_U], outcomes_U[of_U])
            if counts:
                yield MetricBatch(users.stage, fresh, counts)

    def _had_outcome(self, users: _Waiting) -> Flags:
        closes = users.end + self._window + self._grace
        known = self._known.where((self._known.known_K <= closes) & (self._known.at_K < users.end + self._window))
        had_N = np.zeros(len(users.at_N), bool)
        for named, key_N in ((True, users.by_request_N), (False, users.by_user_N)):
            asked = known.where(known.named_K == named)
            if not len(asked) or not len(key_N):
                continue
            order_N = np.argsort(key_N, kind="stable")
            place_K = np.searchsorted(key_N, asked.key_K, sorter=order_N)
            row_K = order_N[np.minimum(place_K, len(key_N) - 1)]
            late_K = asked.at_K - users.at_N[row_K]
            found_K = (key_N[row_K] == asked.key_K) & (late_K >= 0) & (late_K < self._window)
            had_N[row_K[found_K]] = True
        return had_N
