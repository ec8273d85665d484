"""How tired users are of what they saw: of topics, which recovers, and of single items, by how often they were seen.

Legend: U users, K topics, M items remembered, P pages of as many users, L items of a page, N rows.
"""

from __future__ import annotations

import numpy as np

from orita.events.world.arrays import Bools, Floats, Integers
from orita.events.world.habits import Habits

__all__ = ["Fatigue"]

_DAY = 86_400_000_000
_NOTHING = -1
_AT_ONCE = 20_000


class Fatigue:
    """What users remember of what they were shown.

    Args:
        habits: how strongly it counts.
        users: how many there are; they are numbered from 0 here, whatever their ids.
        topic_I: topic of each item.
        topics: how many topics there are.
    """

    def __init__(self, habits: Habits, users: int, topic_I: Integers, topics: int) -> None:
        self._habits, self._topic_I = habits, topic_I
        self._shown_UK = np.zeros((users, topics), np.float32)  # in pages
        self._as_of_U = np.zeros(users, np.int64)
        self._seen_UM = np.full((users, habits.items_remembered), _NOTHING, np.int32)
        self._next_U = np.zeros(users, np.int64)

    def penalty(self, rows_N: Integers, items_N: Integers, time_N: Integers) -> Floats:
        """Return by how much the log-odds of a click are lower, at least 0.

        Args:
            rows_N: number of the user.
            items_N: what is shown.
            time_N: when, microseconds since the Unix epoch.
        """
        lately_N = self._shown_UK[rows_N, self._topic_I[items_N]] * self._left(rows_N, time_N)
        lost_N: Floats = np.float32(self._habits.topic_fatigue) * np.log1p(lately_N)
        lost_N += np.float32(self._habits.item_fatigue) * np.log1p(self._times_seen(rows_N, items_N))
        return lost_N

    def seen(self, rows_N: Integers, items_N: Integers) -> Bools:
        """Return which items the user of each row was shown of late."""
        seen_N: Bools = self._times_seen(rows_N, items_N) > 0
        return seen_N

    def saw(self, rows_P: Integers, items_PL: Integers, time_P: Integers) -> None:
        """Remember a page of each of some different users."""
        length = items_PL.shape[1]
        self._shown_UK[rows_P] *= self._left(rows_P, time_P)[:, None]
        self._as_of_U[rows_P] = time_P
        topics_PL = self._topic_I[items_PL]
        np.add.at(self._shown_UK, (np.repeat(rows_P, length), topics_PL.ravel()), np.float32(1 / max(length, 1)))
        places_PL = (self._next_U[rows_P][:, None] + np.arange(length)) % self._seen_UM.shape[1]
        self._seen_UM[rows_P[:, None], places_PL] = items_PL
        self._next_U[rows_P] += length

    def _left(self, rows_N: Integers, time_N: Integers) -> Floats:
        """Return what is left of the topics of each user since they last saw something."""
        half_life = self._habits.fatigue_half_life_days * _DAY
        left_N: Floats = np.exp2(-(time_N - self._as_of_U[rows_N]) / half_life).astype(np.float32)
        return left_N

    def _times_seen(self, rows_N: Integers, items_N: Integers) -> Floats:
        times_N = np.empty(len(rows_N), np.float32)
        for start in range(0, len(rows_N), _AT_ONCE):  # bounds memory: each row looks at all that is remembered
            some = slice(start, start + _AT_ONCE)
            times_N[some] = (self._seen_UM[rows_N[some]] == items_N[some, None]).sum(axis=1)
        return times_N
