"""Opens the queue that the configuration names."""

from __future__ import annotations

from orita.core.clock import Clock
from orita.core.home import Home
from orita.serving.jobs.config import JobsConfig
from orita.serving.jobs.embedded import EmbeddedQueue
from orita.serving.jobs.queue import JobQueue, QueueBounds
from orita.serving.jobs.redis import RedisQueue

__all__ = ["open_queue"]


def open_queue(config: JobsConfig, home: Home, system: str, clock: Clock) -> JobQueue:
    """Return the queue of *system* that *config* describes.

    Raises:
        MissingExtra: the client of Redis is not installed.
        UserError: its address or a name is not allowed.
    """
    bounds = QueueBounds(
        most_open=config.most_open,
        most_bytes=round(config.most_mib * 1024 * 1024),
        keep_seconds=config.keep_seconds,
        lease_seconds=config.lease_seconds,
        attempts=config.attempts,
        calls=config.callbacks.attempts,
    )
    if config.queue == "redis":
        return RedisQueue(config.redis, bounds, tenant=home.tenant, system=system)
    return EmbeddedQueue(home.jobs / f"{system}.db", bounds, clock)
