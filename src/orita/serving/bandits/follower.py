"""Bandits as they are now: a thread looks at what was declared and logged, and gives out new ones to pick by."""

from __future__ import annotations

from orita.delivery.bandits.learner import Learner
from orita.serving.background.leisure import Leisure
from orita.serving.background.parts import Background
from orita.serving.background.told_once import ToldOnce

__all__ = ["BanditFollower"]


class BanditFollower:
    """Has a learner look, again and again.

    While control state or the log cannot be read, picks go on by what was learnt before.

    Args:
        learner: whose looks this thread takes, and nobody else; give it `goes_on`.
        seconds: between two looks.

    Attributes:
        learner: as given; set once, before the start.
        background: its thread.
    """

    learner: Learner

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._told = ToldOnce()
        self.background = Background("what learns of rewards", "orita-bandits", self._turn)
        self._leisure = Leisure(self.background.stopping, lambda: not self.background.alive)

    def start(self) -> None:
        """Read everything, then follow in the background."""
        self.background.start(rest=self._turn())

    def close(self) -> None:
        """Stop, and write down what was learnt."""
        self.background.close()
        try:
            self.learner.write()
        except OSError as error:  # the next start reads more of the log
            self._told.tell("bandits_not_written", error)

    def goes_on(self) -> bool:
        """Rest between two pieces of a look; return whether there is to be another."""
        return self._leisure.goes_on()

    def _turn(self) -> float:
        self._leisure.begin()
        try:
            self.learner.look()
        except Exception as error:  # a busy database, a log that is away, or what a later Orita wrote: picks go on
            self._told.tell("bandits_not_read", error)
        else:
            self._told.over("bandits_not_read")
        return self._seconds
