"""The flags as they are now: a thread looks at control state, and puts the new set in the place of the old one."""

from __future__ import annotations

from orita.delivery.flags.flag_set import FlagSet
from orita.delivery.flags.kept import Flags
from orita.serving.background.parts import Background
from orita.serving.background.told_once import ToldOnce

__all__ = ["FlagFollower"]

_EVERY = 20
"""Looks after which all is read again, whatever the position says: what is kept may have been made anew."""


class FlagFollower:
    """Keeps `current` what control state says.

    While control state cannot be read, or its flags contradict one another, the flags of before go on and say that they
    are stale.

    Args:
        flags: where they are kept.
        seconds: between two looks.

    Attributes:
        current: the flags; None before they were read for the first time.
        background: its thread.
    """

    def __init__(self, flags: Flags, seconds: float) -> None:
        self._flags, self._seconds = flags, seconds
        self._seen = self._looks = 0
        self._told = ToldOnce()
        self.current: FlagSet | None = None
        self.background = Background("what follows the flags", "orita-flags", self._turn)

    def start(self) -> None:
        """Read the flags, then follow in the background."""
        self.background.start(rest=self._turn())

    def look(self) -> None:
        """Look at control state once."""
        try:
            self._looks += 1
            stale = self.current is None or self.current.stale
            if stale or self._looks % _EVERY == 0 or self._flags.log.position() != self._seen:
                self._seen, self.current = self._flags.followed()
        except Exception as error:  # a busy or broken database, or what a later Orita wrote: the flags go on
            self._told.tell("flags_not_read", error)
            if self.current is not None and not self.current.stale:
                self.current = self.current.as_stale()
        else:
            self._told.over("flags_not_read")

    def _turn(self) -> float:
        self.look()
        return self._seconds
