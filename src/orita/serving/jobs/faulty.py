"""A queue with the faults of the part ``jobs``, for drills."""

from __future__ import annotations

from typing import Any, cast

from orita.serving.jobs.queue import JobQueue
from orita.serving.resilience.faults import Faults, Injected

__all__ = ["faulty_queue"]


class _FaultyQueue:
    """Every method of a `JobQueue` but `close`; what is lost is its answer, once the work is done."""

    def __init__(self, queue: JobQueue, faults: Faults) -> None:
        self._queue, self._faults = queue, faults

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._queue, name)

        def struck(*arguments: Any, **options: Any) -> Any:
            lost = self._faults.strike("jobs")
            found = method(*arguments, **options)
            if lost:
                raise Injected("serving.faults lost the answer of the jobs: remove the rule to end the drill.")
            return found

        return struck

    def close(self) -> None:
        """Let the queue go."""
        self._queue.close()


def faulty_queue(queue: JobQueue, faults: Faults) -> JobQueue:
    """Return *queue* with the faults of the part ``jobs``."""
    return cast(JobQueue, _FaultyQueue(queue, faults))  # methods are passed on by name, which no type can say
