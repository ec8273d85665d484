"""Choices and rewards are durable before they are answered; those that come together share one write.

Requests wait, each for its own; a thread appends all that wait at once, so a disk that syncs in five milliseconds takes
as many as come within five.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from orita.delivery.bandits.records import KEY, PARTITION, STREAM, Record, batch_of
from orita.events.log.log import EventLog
from orita.serving.background.parts import Background
from orita.serving.background.told_once import ToldOnce
from orita.serving.http.refusal import Refused

__all__ = ["RecordWriter"]

_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class _Waiting:
    record: Record
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


class RecordWriter:
    """Appends records to the log.

    Args:
        log: where.
        most_waiting: records that may wait.

    Attributes:
        background: its thread.
    """

    def __init__(self, log: EventLog, most_waiting: int) -> None:
        self._log, self._most = log, most_waiting
        self._waiting: deque[_Waiting] = deque()
        self._made = False
        self._told = ToldOnce()
        self.background = Background("what logs choices and rewards", "orita-bandit-log", self._turn)

    async def written(self, record: Record) -> None:
        """Return once *record* is durable.

        Raises:
            Refused: 503, too many wait, or the log takes none; then it is not there.
        """
        if len(self._waiting) >= self._most:
            raise Refused(503, "bandit_log_full", "too many choices and rewards wait: ask again.", retry_after=1)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(record, loop, loop.create_future())
        self._waiting.append(waiting)
        self.background.wake()
        await waiting.done

    def start(self) -> None:
        """Begin."""
        self.background.start()

    def close(self) -> None:
        """Stop, once nothing more is asked."""
        self.background.close()

    def _turn(self) -> float | None:
        taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), _AT_ONCE))]
        if taken:
            failed = self._appended(taken)
            taken[0].loop.call_soon_threadsafe(_settle, taken, failed)
        return 0.0 if self._waiting else None

    def _appended(self, taken: list[_Waiting]) -> bool:
        """Append, and return whether that failed."""
        try:
            if not self._made:
                self._log.create(STREAM, PARTITION + 1)
                self._made = True
            self._log.append(STREAM, batch_of([each.record for each in taken]), key=KEY)
        except Exception as error:  # a full disk, a broker that is away: each request is told, and the log
            self._told.tell("bandit_log_cannot_write", error)
            return True
        self._told.over("bandit_log_cannot_write")
        return False


def _settle(taken: list[_Waiting], failed: bool) -> None:
    for each in taken:
        if each.done.done():
            continue  # nobody waits any more
        if failed:
            each.done.set_exception(
                Refused(503, "bandit_log_unavailable", "it could not be logged: ask again.", retry_after=1)
            )
        else:
            each.done.set_result(None)
