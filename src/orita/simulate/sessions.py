"""The sessions of one hour, side by side: a page of each at a time.

Legend: S sessions, P pages, L items of a page, C candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orita.events.world.arrays import Bools, Integers, Reals
from orita.events.world.rhythm import Rhythm

__all__ = ["Sessions", "first_unseen"]

_MILLISECOND = 1_000


@dataclass(eq=False, slots=True)
class Sessions:
    """Sessions of as many users.

    A session ends within its hour: where the pages that may still come leave no time for all that users dwell on this
    one, the next is asked for sooner. So time alone ends no session.

    Attributes:
        rows_S: number of the user in the panel.
        time_S: when the next page is asked for, microseconds since the Unix epoch.
        devices_S: index into `DEVICES`.
        shown_S, clicks_S: how many items were shown and clicked.
        going_S: who wants a further page.
        ends: of the hour.
        pages_left: that may come at most.
    """

    rows_S: Integers
    time_S: Integers
    devices_S: Integers
    shown_S: Reals
    clicks_S: Reals
    going_S: Bools
    ends: int
    pages_left: int

    @classmethod
    def begun(
        cls, rng: np.random.Generator, rows_S: Integers, rhythm: Rhythm, start: int, length: int, most_pages: int
    ) -> Sessions:
        """Return sessions that begin at any time in the first half of an hour, on the devices of that time."""
        sessions = len(rows_S)
        time_S = start + rng.integers(1, length // 2 // _MILLISECOND, sessions) * _MILLISECOND
        none_S = np.zeros(sessions)
        return cls(
            rows_S,
            time_S,
            rhythm.devices(rng, time_S),
            none_S,
            none_S.copy(),
            np.ones(sessions, np.bool_),
            start + length,
            most_pages,
        )

    def saw(self, which_P: Integers, length: int, clicked_P: Reals, dwell_P: Reals, goes_on_P: Bools) -> None:
        """Take in a page of *length* items of the sessions *which_P*: what was clicked of it, the seconds of dwell, and
        who wants another."""
        self.shown_S[which_P] += length
        self.clicks_S[which_P] += clicked_P
        left_P = (self.ends - self.time_S[which_P]) // (_MILLISECOND * self.pages_left)
        self.time_S[which_P] += np.clip((1000 * dwell_P).astype(np.int64), 1, np.maximum(left_P - 1, 1)) * _MILLISECOND
        self.pages_left -= 1
        self.going_S[which_P] = goes_on_P


def first_unseen(ranked_PC: Integers, seen_PC: Bools, length: int) -> Integers:
    """Return the first *length* items of each page where *seen_PC* come behind all that is new.

    It is the feed's own rule (``serving.feed.seen: last``).
    """
    places_PL = np.argsort(seen_PC, axis=1, kind="stable")[:, :length]
    first_PL: Integers = np.take_along_axis(ranked_PC, places_PL, axis=1)
    return first_PL
