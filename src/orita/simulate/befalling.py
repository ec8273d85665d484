"""A scenario as it comes about, day by day: drifts move the world, outages and bad models change what is served.

Legend: P pages, C candidates.
"""

from __future__ import annotations

import numpy as np

from orita.events.world.arrays import Bools, Integers
from orita.simulate.life import Life
from orita.simulate.scenario import Outage, Scenario

__all__ = ["Befalling"]

_ARMS = {"policy": 0, "vs": 1}


class Befalling:
    """What happens, and when.

    Args:
        scenario: the declarations; users that it brings are in the world already.
        popular_C: items that were popular before, the most popular first: what users see without a server.
        seed: fixes whose tastes move, and where to.
    """

    def __init__(self, scenario: Scenario, popular_C: Integers, *, seed: int) -> None:
        self._scenario, self.popular_C, self._seed = scenario, popular_C, seed

    def dawn(self, day: int, life: Life) -> None:
        """Let come what begins with *day*, counted from 0."""
        for number, happening in enumerate(self._scenario.happenings):
            if happening.drift is not None and happening.day == day + 1:
                life.drift(happening.drift, seed=self._seed, number=number)

    def shows_nothing(self, day: int, hour: int, arm_P: Integers) -> Bools:
        """Return which pages stay empty."""
        return self._out(day, hour, arm_P, "nothing")

    def shows_list(self, day: int, hour: int, arm_P: Integers) -> Bools:
        """Return which pages are the list that everybody sees."""
        return self._out(day, hour, arm_P, "list")

    def spoiled(self, rng: np.random.Generator, day: int, arm: int, items_PC: Integers) -> Integers:
        """Return what a policy ranked as a bad model would."""
        for happening in self._scenario.happenings:
            bad = happening.bad_model
            if bad is None or _ARMS[bad.arm] != arm or not happening.day <= day + 1 < happening.day + bad.days:
                continue
            bad_P1 = rng.random((len(items_PC), 1)) < bad.share
            worse_PC = items_PC[:, ::-1] if bad.how == "reversed" else rng.permuted(items_PC, axis=1)
            items_PC = np.where(bad_P1, worse_PC, items_PC)
        return items_PC

    def _out(self, day: int, hour: int, arm_P: Integers, serves: str) -> Bools:
        out_P = np.zeros(len(arm_P), np.bool_)
        for happening in self._scenario.happenings:
            outage = happening.outage
            if outage is not None and outage.serves == serves and _during(happening.day, outage, day, hour):
                out_P |= True if outage.arm == "both" else arm_P == _ARMS[outage.arm]
        return out_P


def _during(begins: int, outage: Outage, day: int, hour: int) -> bool:
    since = 24 * (day + 1 - begins) + hour - outage.at_hour
    return 0 <= since < outage.hours
