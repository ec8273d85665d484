"""The queue in Redis or Valkey, for all replicas of a server: each method is one call of one script.

What it promises takes ``appendonly yes`` and ``appendfsync always`` there, and ``maxmemory-policy noeviction``.
"""

from __future__ import annotations

from typing import Any, Literal

from orita.features.stores.redis_server import RedisConfig, RedisServer, key_of
from orita.serving.jobs.queue import LOST, Job, KeyReused, Lease, NewJob, QueueBounds, QueueFull, QueueSize, Stage
from orita.serving.jobs.redis_script import SCRIPT

__all__ = ["RedisQueue"]


class RedisQueue:
    """A `JobQueue` in Redis.

    Args:
        config: the server.
        bounds: what the queue holds.
        tenant, system: whose jobs.

    Raises:
        MissingExtra: the client is not installed.
        UserError: the URL or a name is not allowed, or the variable of the password is not set.
    """

    def __init__(self, config: RedisConfig, bounds: QueueBounds, *, tenant: str, system: str) -> None:
        self._base = key_of(config, tenant, system, "jobs")
        self._bounds = bounds
        self._server = RedisServer(config)

    def submit(self, new: NewJob, /) -> Job:
        """Take in *new*; see the protocol."""
        most = (self._bounds.most_open, self._bounds.most_bytes)
        given = (new.id, new.requests, new.count, new.digest, new.key or "", new.callback_url or "")
        outcome, found = self._asked("submit", *given, *most, new.trace)
        if outcome == b"reused":
            raise KeyReused(
                f"the header Idempotency-Key has the value {new.key!r}, which names job {found.decode()}, and that has "
                "another body: use a new key for a new job."
            )
        if outcome == b"open":
            raise QueueFull(f"{found} jobs wait or run, as many as may be: send this one again later.")
        if outcome == b"bytes":
            raise QueueFull(f"the jobs that wait or run have {int(found)} bytes, as many as may be: send it later.")
        return _job(found)

    def find(self, job: str, /) -> Job | None:
        """Return a job; see the protocol."""
        found = self._asked("find", job)
        return None if found is None else _job(found)

    def latest(self, count: int, /) -> list[Job]:
        """Return the last jobs; see the protocol."""
        return [_job(found) for found in self._asked("latest", count)]

    def cancel(self, job: str, /) -> Job | None:
        """Cancel a job that waits; see the protocol."""
        found = self._asked("cancel", job)
        return None if found is None else _job(found)

    def take(self, stage: Stage, /) -> Lease | None:
        """Lend what is due; see the protocol."""
        taken = self._asked("take", stage, self._lease_micros, self._bounds.leases(stage), LOST)
        if taken is None:
            return None
        job, token, attempt, requests, trace = taken
        return Lease(job.decode(), stage, token, attempt, requests, trace.decode())

    def renew(self, lease: Lease, /) -> bool:
        """Lengthen *lease*; see the protocol."""
        return self._changed("renew", lease, self._lease_micros)

    def finish(self, lease: Lease, state: Literal["succeeded", "failed"], content: bytes, /) -> bool:
        """End a job; see the protocol."""
        return self._changed("finish", lease, state, content)

    def settle(self, lease: Lease, outcome: Literal["delivered", "failed"], /) -> bool:
        """End the stage ``callback``; see the protocol."""
        return self._changed("settle", lease, outcome)

    def give_back(self, lease: Lease, seconds: float, /, *, counted: bool = True) -> bool:
        """Let a job be taken again; see the protocol."""
        return self._changed("give_back", lease, round(seconds * 1e6), -int(not counted))

    def forget(self) -> int:
        """Drop old jobs; see the protocol."""
        forgotten = 0
        while gone := int(self._asked("forget", round(self._bounds.keep_seconds * 1e6))):
            forgotten += gone
        return forgotten

    def size(self) -> QueueSize:
        """Return how much is kept; see the protocol."""
        number, ended, size, running, oldest_micros = self._asked("size")
        return QueueSize(number, ended, size, running, oldest_micros / 1e6)

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    @property
    def _lease_micros(self) -> int:
        return round(self._bounds.lease_seconds * 1e6)

    def _changed(self, command: str, lease: Lease, *values: Any) -> bool:
        return bool(self._asked(command, lease.job, lease.stage, lease.token, *values))

    def _asked(self, *arguments: Any) -> Any:
        return self._server.script(SCRIPT, 1, self._base, *arguments)


def _job(found: list[Any]) -> Job:
    job, state, count, attempts, submitted, ended, content, callback, url = found
    return Job(
        id=job.decode(),
        state=state.decode(),
        count=int(count),
        attempts=int(attempts),
        submitted_micros=int(submitted),
        ended_micros=None if ended is None else int(ended),
        content=content,
        callback=None if callback is None else callback.decode(),
        callback_url=None if url is None else url.decode(),
    )
