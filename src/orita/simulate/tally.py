"""What happened, counted by day and user: all that figures are made of.

Legend: D days, U users who take part, N rows, P pages, S sessions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from orita.events.world import Reactions
from orita.events.world.arrays import Integers, Reals

__all__ = ["COUNTED", "Tally"]

COUNTED = ("shown", "clicks", "likes", "shares", "engaged", "seconds", "pages", "sessions", "failures")


@dataclass(eq=False, slots=True)
class Tally:
    """Sums by day and user.

    Attributes:
        counts: by name of `COUNTED`, [D, U]: items shown, clicked, liked, shared, liked or shared, seconds of dwell,
            pages, sessions, and pages that no policy answered.
        left_U: the day, from 0, on which a user left for good; −1: stayed.
    """

    days: int
    users: int
    counts: dict[str, Reals] = field(init=False)
    left_U: Integers = field(init=False)

    def __post_init__(self) -> None:
        self.counts = {name: np.zeros((self.days, self.users)) for name in COUNTED}
        self.left_U = np.full(self.users, -1)

    def page(self, day: int, rows_P: Integers, length: int, reactions: Reactions) -> None:
        """Count a page of *length* items of each of some different users."""
        shape = (len(rows_P), length)
        engaged_N = reactions.like | reactions.share
        for name, values_N in (
            ("clicks", reactions.click), ("likes", reactions.like), ("shares", reactions.share),
            ("engaged", engaged_N), ("seconds", reactions.dwell),
        ):  # fmt: skip
            self.counts[name][day, rows_P] += values_N.reshape(shape).sum(axis=1)
        self.counts["shown"][day, rows_P] += length
        self.counts["pages"][day, rows_P] += 1

    def sessions(self, day: int, rows_S: Integers, left_S: Integers) -> None:
        """Count a session of each of some different users, of whom *left_S* left for good."""
        self.counts["sessions"][day, rows_S] += 1
        self.left_U[left_S] = day

    def failed(self, day: int, rows_P: Integers) -> None:
        """Count a page without an answer of each of some different users."""
        self.counts["failures"][day, rows_P] += 1
