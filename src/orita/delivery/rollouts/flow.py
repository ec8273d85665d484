"""Does the version answer as much, now that it has everybody, as all versions did before?

Once nobody has the champion, users of a version that does not answer are missing beside nobody. What is left is how
many answers come: where they are less than half of those of before, in the last minutes or since the share was set,
fewer may ask, or the version leaves them without an answer. A log cannot tell one from the other, so people look: it
holds, and takes nothing back. Slower losses than a half are not seen.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta

from orita.delivery.rollouts.looks import Look

__all__ = ["AnswerFlow"]

_RECENT = timedelta(minutes=5)
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
        self._before: float | None = None
        self._here, self._first, self._last = 0, _NEVER, _NEVER
        self._alone = False
        self._recent: deque[tuple[datetime, int]] = deque()

    def take(self, look: Look) -> None:
        """Count the answers of a look."""
        if look.stage.number != self._stage:
            self._enter(look)
        came = sum(look.answered.values())
        self._here, self._last = self._here + came, look.at
        if self._alone:
            self._recent.append((look.at, came))
            while self._recent[0][0] <= look.at - _RECENT:
                self._recent.popleft()

    def lacks(self, now: datetime) -> str:
        """Say that less than half of the answers of before come; empty: they do, or nobody can tell."""
        if not self._alone or self._before is None:
            return ""
        recent = sum(came for at, came in self._recent if at > now - _RECENT)
        for came, since in ((recent, max(now - _RECENT, self._first)), (self._here, self._first)):
            seconds = (now - since).total_seconds()
            expected = self._before * seconds
            if expected >= _LEAST_EXPECTED and came < _LEAST_PART * expected:
                return (
                    f"{came:,} answers came in the last {seconds:,.0f} seconds, where {expected:,.0f} did before "
                    "everybody had the version: either fewer ask, or it leaves them without an answer"
                )
        return ""

    def _enter(self, look: Look) -> None:
        alone = look.stage.shares.get(self._champion, 0.0) <= 0
        seconds = (self._last - self._first).total_seconds() if self._stage >= 0 else 0.0
        if alone and not self._alone and seconds > 0:
            self._before = self._here / seconds
        self._stage, self._alone = look.stage.number, alone
        self._here, self._first = 0, look.stage.since
        self._recent.clear()
