"""Who was counted already, in bounded memory: a table of slots, one for each of many hashes.

Legend: U users.

Two users may share a slot. Then the second one is not counted, whatever the version does, which costs some users and
biases nothing: of ten million users with 2²⁴ slots a quarter.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["CountedInPeriod", "CountedInStep"]

_BITS = 24
_TREATED = 0x80
_MOST_STEPS = 0x7E

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]


class CountedInPeriod:
    """Users that were counted in the present period of the guards."""

    def __init__(self) -> None:
        self._period_S = np.zeros(1 << _BITS, np.uint16)

    def first(self, user_U: Hashes, period: int) -> Places:
        """Return the places of users who come for the first time in *period*, each once, and remember them."""
        mark = 1 + period % 0xFFFF
        slot_F, place_F = np.unique(_slots(user_U), return_index=True)
        new_F = self._period_S[slot_F] != mark
        self._period_S[slot_F[new_F]] = mark
        return np.sort(place_F[new_F])


class CountedInStep:
    """Users that were counted in a step, and what they had before."""

    def __init__(self) -> None:
        self._state_S = np.zeros(1 << _BITS, np.uint8)

    def first(
        self, user_U: Hashes, treated_U: npt.NDArray[np.bool_], step: int
    ) -> tuple[Places, npt.NDArray[np.bool_]]:
        """Return the places of users who count in *step* now, and whether each is seen for the first time ever.

        Left out are those that were counted in this step, or whom another version than the champion had in an earlier
        one. All are remembered.
        """
        mark = min(step, _MOST_STEPS - 1) + 1
        slot_F, place_F = np.unique(_slots(user_U), return_index=True)
        before_F = self._state_S[slot_F]
        new_F = (before_F < mark) & (before_F & _TREATED == 0)
        treated_F = np.where(treated_U[place_F], _TREATED, 0).astype(np.uint8)
        self._state_S[slot_F[new_F]] = mark | treated_F[new_F]
        order = np.argsort(place_F[new_F])
        return place_F[new_F][order], (before_F[new_F] == 0)[order]


def _slots(user_U: Hashes) -> npt.NDArray[np.intp]:
    return (user_U >> np.uint64(64 - _BITS)).astype(np.intp)
