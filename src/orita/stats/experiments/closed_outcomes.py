"""One outcome a user, counted once, when the user's outcome window has closed.

Legend: U users, N events, D days.

Rows of one user are dependent, so a test on rows is wrong, and a running total of users' outcomes is no martingale: the
same users change it again and again. Here each user gives one number, the sum of the outcomes within a window from the
first exposure, and joins the test once when that window has closed; the order is that of closing, which no outcome can
change. Then users are independent observations that come one after another, and every test in
`orita.stats.sequential` holds (decision 0051). The price: a test knows nothing in its first window, users still in
their window do not count yet, and outcomes after it never do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError

__all__ = ["ClosedOutcomes", "closed_outcomes", "retained"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ClosedOutcomes:
    """Users whose window has closed, in the order of closing.

    Attributes:
        index_U: place of each user in the users given.
        closed_U: when the window closed, in the unit of the times given.
        values_U: sum of the user's outcomes within the window, 0 for none.
    """

    index_U: npt.NDArray[np.int64]
    closed_U: Floats
    values_U: Floats

    def between(self, after: float, until: float) -> ClosedOutcomes:
        """Return those whose window closed in (after, until]: the batch of a look."""
        start, stop = np.searchsorted(self.closed_U, [after, until], side="right")
        return ClosedOutcomes(self.index_U[start:stop], self.closed_U[start:stop], self.values_U[start:stop])


def closed_outcomes(
    users_U: npt.NDArray[Any],
    exposed_U: npt.ArrayLike,
    event_users_N: npt.NDArray[Any],
    event_times_N: npt.ArrayLike,
    event_values_N: npt.ArrayLike,
    *,
    window: float,
    now: float,
    late: float = 0.0,
) -> ClosedOutcomes:
    """Return each exposed user's outcome, for users whose window has closed.

    Args:
        users_U: ids of exposed users, each once.
        exposed_U: time of the first exposure, in any unit.
        event_users_N: whose outcome it is; events of users not exposed do not count.
        event_times_N: when it happened, in the unit of exposure.
        event_values_N: what it was worth: 1 for a click, an amount, seconds.
        window: an outcome counts from the first exposure on until *window* later, that moment not included.
        now: users count whose window and lateness have passed.
        late: how much later than it happened an outcome may arrive; the window closes so much later.

    Raises:
        UserError: a user is there twice, or the window is not above 0, or late is below 0.
    """
    if not (window > 0 and late >= 0):
        raise UserError(f"window is {window} and late {late}; a window is above 0, late is 0 or more.")
    order_U = np.argsort(users_U, kind="stable")
    sorted_U = np.asarray(users_U)[order_U]
    if (sorted_U[1:] == sorted_U[:-1]).any():
        raise UserError("a user is exposed twice; give each user once, with the time of the first exposure.")
    exposed = np.asarray(exposed_U, np.float64)
    user_N, known_N = _places(sorted_U, order_U, np.asarray(event_users_N))
    since_N = np.asarray(event_times_N, np.float64)[known_N] - exposed[user_N]
    inside_N = (since_N >= 0) & (since_N < window)
    values = np.asarray(event_values_N, np.float64)[known_N][inside_N]
    values_U: Floats = np.bincount(user_N[inside_N], values, minlength=len(exposed)).astype(np.float64)
    closes_U: Floats = exposed + window + late
    order = np.argsort(closes_U, kind="stable")
    index_U = order[closes_U[order] <= now].astype(np.int64)
    return ClosedOutcomes(index_U, closes_U[index_U], values_U[index_U])


def retained(
    users_U: npt.NDArray[Any],
    exposed_U: npt.ArrayLike,
    event_users_N: npt.NDArray[Any],
    event_times_N: npt.ArrayLike,
    *,
    after: float,
    until: float,
) -> npt.NDArray[np.bool_]:
    """Return for each user whether one of the user's events lies in [after, until) from the first exposure.

    With times in days, ``after=7, until=8`` is retention on day 7, ``after=1, until=8`` a return within a week. Users
    whose time has not come yet are False: leave out those exposed less than *until* ago.
    """
    order_U = np.argsort(users_U, kind="stable")
    user_N, known_N = _places(np.asarray(users_U)[order_U], order_U, np.asarray(event_users_N))
    since_N = np.asarray(event_times_N, np.float64)[known_N] - np.asarray(exposed_U, np.float64)[user_N]
    back_N = user_N[(since_N >= after) & (since_N < until)]
    return np.bincount(back_N, minlength=len(order_U)) > 0


def _places(
    sorted_U: npt.NDArray[Any], order_U: npt.NDArray[np.int64], event_users_N: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the place among the users of each event whose user is known, and which events those are."""
    if len(sorted_U) == 0:
        return np.empty(0, np.int64), np.zeros(len(event_users_N), np.bool_)
    place_N = np.minimum(np.searchsorted(sorted_U, event_users_N), len(sorted_U) - 1)
    known_N = sorted_U[place_N] == event_users_N
    return order_U[place_N[known_N]], known_N
