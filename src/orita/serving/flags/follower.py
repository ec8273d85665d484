"""The flags as they are now: a thread looks at control state, and puts the new set in the place of the old one."""

from __future__ import annotations

from orita.delivery.flags.flag_set import FlagSet
from orita.delivery.flags.kept import Flags
from orita.serving.background.parts import Background
from orita.serving.background.told_once import ToldOnce

__all__ = ["FlagFollower"]


class FlagFollower:
    """Keeps `current` what control state says.

    While control state cannot be read, or its flags contradict one another, the flags of before go on and say that they
    are stale.

    Args:
        flags: where they are kept.
        seconds: between two looks.

    Attributes:
        current: the flags; none before the first look.
        background: its thread.
    """

    def __init__(self, flags: Flags, seconds: float) -> None:
        self._flags, self._seconds = flags, seconds
        self._seen = 0
        self._told = ToldOnce()
        self.current = FlagSet.of(())
        self.background = Background("what follows the flags", "orita-flags", self._turn)

    def start(self) -> None:
        """Read the flags, then follow in the background."""
        self.background.start(rest=self._turn())

    def look(self) -> None:
        """Look at control state once."""
        try:
            position = self._flags.log.position()
            if position != self._seen or self.current.stale:
                self.current, self._seen = self._flags.current(), position
        except Exception as error:  # a busy or broken database, or what a later Orita wrote: the flags go on
            self._told.tell("flags_not_read", error)
            if not self.current.stale:
                self.current = self.current.as_stale()
        else:
            self._told.over("flags_not_read")

    def _turn(self) -> float:
        self.look()
        return self._seconds
