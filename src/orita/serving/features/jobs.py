"""Work of the feature store beside predictions: in threads, so many at once, so many in line, and some kept as jobs.

All of it is told of by the event loop's one thread, so nothing is locked. Jobs live in memory: they end with the
process, and old ones give way to new ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio
import anyio.to_thread
from starlette.responses import Response

from orita.core.clock import Clock
from orita.core.ids import uuid7
from orita.serving.config import FeatureRoutesConfig
from orita.serving.http.refusal import Refused

__all__ = ["BoundedWork", "Job", "Jobs"]

T = TypeVar("T")

_RETRY_SECONDS = 1


class BoundedWork:
    """Runs functions in threads.

    Args:
        at_once: as many run at the same time.
        waiting: as many more wait in line; the next is refused.
        code: of that refusal.
    """

    def __init__(self, at_once: int, waiting: int, code: str = "features_busy") -> None:
        self._at_once, self._most, self._code = at_once, at_once + waiting, code
        self._under_way = 0
        self._limiter: anyio.CapacityLimiter | None = None

    @property
    def under_way(self) -> int:
        """How much runs or waits."""
        return self._under_way

    def check_room(self) -> None:
        """Refuse what would not find a place in line.

        Raises:
            Refused: 503, as much is under way as may be.
        """
        if self._under_way >= self._most:
            message = f"{self._under_way} requests of this kind are under way, as many as may be: ask again later."
            raise Refused(503, self._code, message, retry_after=_RETRY_SECONDS)

    async def run(self, work: Callable[[], T]) -> T:
        """Return what *work* returns.

        Raises:
            Refused: see `check_room`.
        """
        self.check_room()
        self._limiter = self._limiter or anyio.CapacityLimiter(self._at_once)  # it belongs to the running loop
        self._under_way += 1
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._under_way -= 1


@dataclass(slots=True)
class Job:
    """Work that somebody will ask for: its answer once there is one, and when that was (monotonic seconds)."""

    id: str
    answer: Response | None = None
    ended: float = 0.0


class Jobs:
    """The jobs of this process: those under way, and the last that ended."""

    def __init__(self, config: FeatureRoutesConfig, clock: Clock) -> None:
        self._kept, self._seconds, self._clock = config.jobs, config.job_seconds, clock
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Callable[[], Awaitable[Response]]) -> Job:
        """Begin *work*, which answers whatever happens, and return its job."""
        self._forget()
        job = Job(uuid7(self._clock))
        self._jobs[job.id] = job
        task = asyncio.get_running_loop().create_task(self._finish(job, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    def find(self, name: str) -> Job:
        """Return a job.

        Raises:
            Refused: 404, it is not known any more, or never was.
        """
        self._forget()
        if name not in self._jobs:
            message = (
                f"job {name!r} is not known: this process keeps the last {self._kept} in memory, each for "
                f"{self._seconds:g} s after its end, and another process has its own; ask for the features again."
            )
            raise Refused(404, "job_not_found", message)
        return self._jobs[name]

    async def close(self) -> None:
        """Stop what waits; what runs in a thread is waited for."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _finish(self, job: Job, work: Callable[[], Awaitable[Response]]) -> None:
        job.answer = await work()
        job.ended = self._clock.monotonic()
        self._forget()

    def _forget(self) -> None:
        """Drop jobs that ended long ago, and the oldest of those that ended where there are too many."""
        now = self._clock.monotonic()
        ended = [job for job in self._jobs.values() if job.answer is not None]
        for job in ended:
            if now - job.ended > self._seconds:
                del self._jobs[job.id]
        left = sorted((job for job in ended if job.id in self._jobs), key=lambda job: job.ended)
        for job in left[: max(0, len(left) - self._kept)]:
            del self._jobs[job.id]
