"""What can be set about the cache of predictions, and how it is opened."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from orita.core.clock import Clock
from orita.core.config import Section
from orita.features.stores.redis_server import RedisConfig
from orita.serving.cache.memory import MemoryStore
from orita.serving.cache.predictions import PredictionCache
from orita.serving.cache.redis import RedisCacheStore
from orita.serving.cache.store import CacheStore

__all__ = ["CacheConfig", "open_cache"]

_AT_ONCE = 4
"""A look takes about as long as an answer. Of more, each would wait for all the others while its own time runs."""


class CacheConfig(Section):
    """Whether and how predictions are kept.

    Attributes:
        enabled: off unless it is said.
        feeds: whether scores of feeds are kept as well; off unless it is said.
        store: ``memory`` (of each server process) or ``redis`` (of all replicas).
        key: ``values``: features are read for every request, and equal values have equal scores; ``ids``: neither is
            done again for a request that is asked again within *stable_seconds*.
        ttl_seconds: how long a prediction may be kept.
        stable_seconds: with ``ids``, how long features may be taken to be stable; must be said.
        settle_seconds: with ``ids``, after which what was pushed is invalidated once more: the stream should have taken
            it by then; 0: never.
        beta: how early a prediction that will expire is computed anew (see `PredictionCache`); 0: never early.
        mib: memory of the store ``memory``.
        redis: the server of the store ``redis``.
        timeout_ms: of a look into it.
    """

    enabled: bool = False
    feeds: bool = False
    store: Literal["memory", "redis"] = "memory"
    key: Literal["values", "ids"] = "values"
    ttl_seconds: Annotated[float, Field(gt=0, le=86_400)] = 3600.0
    stable_seconds: Annotated[float, Field(gt=0, le=86_400)] | None = None
    settle_seconds: Annotated[float, Field(ge=0, le=3600)] = 2.0
    beta: Annotated[float, Field(ge=0, le=10)] = 1.0
    mib: Annotated[float, Field(gt=0, le=65_536)] = 64.0
    redis: RedisConfig = RedisConfig()
    timeout_ms: Annotated[float, Field(gt=0, le=1000)] = 20.0

    @model_validator(mode="after")
    def _goes_together(self) -> CacheConfig:
        if self.key == "ids" and self.stable_seconds is None:
            raise ValueError("key is 'ids', so stable_seconds must say how long features may be taken to be stable")
        if self.feeds and not self.enabled:
            raise ValueError("feeds is true, and there is no cache: set enabled to true, or leave feeds out")
        return self

    @property
    def answers_at_once(self) -> int:
        """How many answers may be under way: while one awaits another machine, the next can be computed."""
        return _AT_ONCE if self.enabled and self.store == "redis" else 1

    @property
    def seconds(self) -> float:
        """How long a prediction is kept."""
        stable = self.stable_seconds if self.key == "ids" else None
        return self.ttl_seconds if stable is None else min(self.ttl_seconds, stable)


def open_cache(config: CacheConfig, clock: Clock, *, tenant: str, system: str) -> PredictionCache | None:
    """Return the cache that *config* describes, None where it is off.

    Raises:
        MissingExtra: the store is Redis, and its client is not installed.
        UserError: its address is not allowed.
    """
    if not config.enabled:
        return None
    store: CacheStore
    if config.store == "redis":
        timeout = config.timeout_ms / 1000
        store = RedisCacheStore(
            config.redis, tenant=tenant, system=system, clock=clock, most_seconds=config.seconds, timeout=timeout
        )
    else:
        store = MemoryStore(round(config.mib * 1024 * 1024), clock)
    settle = config.settle_seconds if config.key == "ids" else 0.0  # with values, what changes is another key
    return PredictionCache(store, clock, seconds=config.seconds, beta=config.beta, settle_seconds=settle)
