"""Who comes, who goes on to a further page, and who leaves for good: by how satisfied users were lately.

Legend: U users, S sessions of as many users.
"""

from __future__ import annotations

import numpy as np

from orita.events.world.arrays import Bools, Integers, Reals
from orita.events.world.habits import Habits

__all__ = ["Loyalty"]

_MOST_SESSIONS_A_DAY = 8.0


class Loyalty:
    """How attached users are, numbered from 0 whatever their ids.

    Args:
        habits: how it comes about.
        usual: share of shown items that users were used to click.
        activity_U: how active each user is; only proportions matter.

    Attributes:
        satisfaction_U: relative to what is usual, a moving mean over sessions.
        left_U: who left for good.
    """

    def __init__(self, habits: Habits, usual: float, activity_U: Reals) -> None:
        self._habits, self._usual = habits, usual
        rate_U = habits.sessions_a_day * activity_U / activity_U.mean()
        self._rate_U = np.minimum(rate_U, _MOST_SESSIONS_A_DAY)
        self.satisfaction_U = np.zeros(len(activity_U))
        self.left_U = np.zeros(len(activity_U), np.bool_)

    def coming(self, rng: np.random.Generator, share_of_day: float, present_U: Bools) -> Integers:
        """Return who begins a session in a stretch of time with that share of a day's visits, of those *present_U*.

        Every user takes one number from *rng*, so that what some do changes nothing for the others.
        """
        visits_U = self._rate_U * np.exp(self._habits.return_slope * self.satisfaction_U) * share_of_day
        coming_U = rng.random(len(visits_U)) < -np.expm1(-visits_U)
        found: Integers = np.flatnonzero(coming_U & present_U & ~self.left_U)
        return found

    def goes_on(self, rng: np.random.Generator, clicked_S: Reals) -> Bools:
        """Return who wants a further page after one of which the share *clicked_S* was clicked."""
        odds_S = self._habits.goes_on + self._habits.goes_on_slope * self._relative(clicked_S)
        wants_S: Bools = rng.random(len(odds_S)) < 1 / (1 + np.exp(-odds_S))
        return wants_S

    def ended(self, rng: np.random.Generator, rows_S: Integers, clicked_S: Reals) -> Bools:
        """Take in a session of each of some different users; return who leaves for good after it.

        The hazard of leaving is one of days, so that who comes often does not leave sooner for it: a session bears
        that of the time until the next one is usual.
        """
        habits = self._habits
        before_S = self.satisfaction_U[rows_S]
        now_S = before_S + habits.memory * (self._relative(clicked_S) - before_S)
        self.satisfaction_U[rows_S] = now_S
        hazard_S = habits.leave_a_day / self._rate_U[rows_S] * np.exp(-habits.leave_slope * now_S)
        leaves_S: Bools = rng.random(len(rows_S)) < -np.expm1(-hazard_S)
        self.left_U[rows_S[leaves_S]] = True
        return leaves_S

    def _relative(self, clicked_S: Reals) -> Reals:
        relative_S: Reals = np.clip(clicked_S / self._usual - 1, -1.0, 1.0)
        return relative_S
