"""What waits for its commit to the prediction log: how many rows, for how long, and whether it can be made durable.

Each number is written by one thread only, the one that answers or the one that writes, so no lock is needed.

Time counts as long as the process runs. Where a busy machine holds all of it up, nothing is answered, the disk is no
slower for it, and those who come next are not turned away for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["LogBacklog"]

_STEP_SECONDS = 0.25
"""Whoever answers looks at the clock more often than this, unless nobody asks or nothing runs."""


class LogBacklog:
    """The rows that were answered and are not durable yet.

    Args:
        most_rows: how many may wait.
        most_seconds: for how long.
        monotonic: the machine's clock, in seconds.

    Attributes:
        appended: rows ever appended.
        durable: of them those that are durable.
        failure: why the latest commit failed, None where it did not.
    """

    def __init__(self, most_rows: int, most_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most_rows, self._most_seconds = most_rows, most_seconds
        self._monotonic = monotonic
        self._looked, self._held_up = monotonic(), 0.0  # by who answers
        self.appended = 0
        self.durable = 0
        self.failure: str | None = None
        self._began = 0.0  # when rows began to wait, after none did: by who answers
        self._clean = 0.0  # what was appended by then is durable: by who writes

    @property
    def rows(self) -> int:
        """How many rows wait."""
        return self.appended - self.durable

    @property
    def seconds(self) -> float:
        """For how long the oldest of them has waited, at most, while the process ran."""
        return self.now() - max(self._began, self._clean) if self.rows else 0.0

    @property
    def stuck(self) -> bool:
        """Whether a commit failed, or the oldest row has waited too long: whoever kills the process loses more."""
        self._look()
        return self.failure is not None or self.seconds > self._most_seconds

    @property
    def trouble(self) -> str | None:
        """Why it is stuck, as a sentence; None where it is not."""
        if self.failure is not None:
            return f"the prediction log cannot be written ({self.failure}): free or mend its disk."
        if self.stuck:
            allowed = f"allowed are {self._most_seconds:g} s"
            return f"the prediction log has waited {self.seconds:.1f} s for its disk, {allowed}."
        return None

    def now(self) -> float:
        """Return seconds that grow while the process runs."""
        return self._monotonic() - self._held_up

    def fits(self, rows: int) -> bool:
        """Return whether *rows* more may wait."""
        return self.appended - self.durable + rows <= self._most_rows

    def add(self, rows: int) -> None:
        """Count *rows* that wait from now on."""
        self._look()
        if self.appended == self.durable:
            self._began = self.now()
        self.appended += rows

    def committed(self, rows: int) -> None:
        """Count *rows* that are durable."""
        self.durable += rows

    def clean(self, at: float) -> None:
        """Take up that all that was appended before *at* (`now`) is durable."""
        self._clean, self.failure = at, None

    def _look(self) -> None:
        now = self._monotonic()
        self._held_up += max(0.0, now - self._looked - _STEP_SECONDS)
        self._looked = now
