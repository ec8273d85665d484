"""Does a version answer as much, now that it has everybody, as all versions did before?

Once nobody has the champion, users of a version that does not answer are missing beside nobody. What is left is how
many answers come: where they are less than half of those of before, fewer ask, or the version leaves them without an
answer. A log cannot tell one from the other, and a night looks the same: it holds, takes nothing back, and ends by
itself when answers come again. Slower losses than a half are not seen.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta

from orita.delivery.rollouts.looks import Look

__all__ = ["AnswerFlow"]

_RECENT_SECONDS = 300.0
_SETTLES = timedelta(seconds=5)
"""So long after an answer was given it is in a look for sure."""
_LEAST_EXPECTED = 100.0
"""Answers without which half of them is no news: chance alone is below half of a hundred once in ten million times."""
_LEAST_PART = 0.5
_NEVER = datetime.min.replace(tzinfo=UTC)


class AnswerFlow:
    """Answers a second, before and after the champion's last user.

    Args:
        champion: the version that has nobody in the end.
    """

    def __init__(self, champion: str) -> None:
        self._champion = champion
        self._stage = -1
        self._before = 0.0  # answers a second
        self._here, self._first, self._last = 0, _NEVER, _NEVER
        self._alone = False
        self._recent: deque[tuple[datetime, int]] = deque()

    def take(self, look: Look) -> None:
        """Count the answers of a look."""
        if look.stage.number != self._stage:
            self._enter(look)
        came = sum(look.answered.values())
        self._here, self._last = self._here + came, look.at
        if self._alone and self._before:
            self._recent.append((look.at, came))
            while self._recent[0][0] <= look.at - self._window - _SETTLES:
                self._recent.popleft()

    def lacks(self, now: datetime) -> str:
        """Say that less than half of the answers of before come; empty: they do, or nobody can tell."""
        if not self._alone or not self._before:
            return ""
        until = now - _SETTLES
        since = max(until - self._window, self._first)
        seconds = (until - since).total_seconds()
        expected = self._before * seconds
        came = sum(count for at, count in self._recent if since < at <= until)
        if expected < _LEAST_EXPECTED or came >= _LEAST_PART * expected:
            return ""
        return (
            f"{came:,} answers came in {seconds:,.0f} seconds, where {expected:,.0f} did before everybody had the "
            "version: fewer ask, as at night, and it goes on when more do; or it leaves them without an answer, and "
            "is to be aborted"
        )

    @property
    def _window(self) -> timedelta:
        """The last minutes, or as long as the least answers that tell anything took before."""
        return timedelta(seconds=max(_RECENT_SECONDS, _LEAST_EXPECTED / self._before))

    def _enter(self, look: Look) -> None:
        alone = look.stage.shares.get(self._champion, 0.0) <= 0
        seconds = (self._last - self._first).total_seconds() if self._stage >= 0 else 0.0
        if alone and not self._alone and seconds > 0:
            self._before = self._here / seconds
        self._stage, self._alone = look.stage.number, alone
        self._here, self._first = 0, look.stage.since
        self._recent.clear()
