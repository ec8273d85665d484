"""Records in Redis or Valkey, for all replicas of a server: one command a look, one a record.

Whatever goes wrong is a miss: a look has a short timeout, and after five failures in a row the server is left alone for
a second. Invalidations are numbered by the server, as in memory; the number of a tag is kept for twice the longest time
of a record, so that it outlives whatever it has invalidated. All of these keys expire, those of tags last: let the
server evict by ``maxmemory-policy volatile-ttl``, which then takes records first.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from orita.core.clock import Clock
from orita.core.errors import Unavailable, UserError
from orita.core.extras import require
from orita.features.stores.redis_server import RedisConfig, key_of
from orita.serving.cache.store import Looked, Others, StoreSize
from orita.serving.resilience.guard import Guard, GuardConfig

__all__ = ["RedisCacheStore"]

_CONNECTIONS = 16  # more than looks at once (`CacheConfig.answers_at_once`): invalidations find one free
_PATIENT_SECONDS = 1.0

# The number and the tags change together: a look between them would take the one for the other.
_INVALIDATE = """
local number = redis.call('INCR', KEYS[1])
for at = 2, #KEYS do redis.call('SET', KEYS[at], number, 'PX', ARGV[1]) end
return number
"""


class RedisCacheStore:
    """A `CacheStore` in Redis.

    Args:
        config: the server; its own timeouts are not used.
        tenant, system: whose predictions.
        clock: the time.
        most_seconds: longest time of a record.
        timeout: seconds until a look is a miss.

    Attributes:
        guard: how the server is; for metrics and health.

    Raises:
        MissingExtra: the client is not installed.
        UserError: the URL or a name is not allowed, or the variable of the password is not set.
    """

    def __init__(
        self, config: RedisConfig, *, tenant: str, system: str, clock: Clock, most_seconds: float, timeout: float
    ) -> None:
        self._base = key_of(config, tenant, system, "cache")
        self._tag_millis = round(2000 * most_seconds)
        self._timeout = timeout
        settings = GuardConfig(failures=5, seconds=1.0, most_calls=_CONNECTIONS)
        self.guard = Guard("cache", settings, clock)
        self._errors = require("redis", extra="redis").exceptions
        self._client = _client(config)

    async def get(self, key: bytes, tags: Sequence[bytes], /) -> Looked:
        """Return the record of *key*; see the protocol."""
        keys = [self._record_key(key), *map(self._tag_key, tags)]
        try:
            found: list[bytes | None] = await self._asked(self._timeout, "MGET", *keys)
        except Unavailable:
            return Looked(None, None)
        epochs = max((int(number) for number in found[1:] if number is not None), default=0).to_bytes(8)
        record = found[0]
        if record is None or record[:8] != epochs:
            return Looked(None, epochs)
        return Looked(record[8:], epochs)

    async def put(self, key: bytes, record: bytes, epochs: bytes, seconds: float, /) -> None:
        """Keep *record*; see the protocol."""
        millis = max(round(seconds * 1000), 1)
        try:
            await self._asked(self._timeout, "SET", self._record_key(key), epochs + record, "PX", millis)
        except Unavailable:
            return  # the guard counts it: a record that is not kept is computed again

    async def invalidate(self, tags: Sequence[bytes], /) -> None:
        """Let no record of *tags* be seen any more; see the protocol."""
        keys = [self._base + b":number", *map(self._tag_key, tags)]
        await self._asked(_PATIENT_SECONDS, "EVAL", _INVALIDATE, len(keys), *keys, self._tag_millis)

    def share(self, others: Others, /) -> None:
        """Do nothing: it is one store for all; see the protocol."""

    def size(self) -> StoreSize:
        """Return that the server knows."""
        return StoreSize(None, None, None)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _asked(self, timeout: float, *command: Any) -> Any:
        """Return the server's answer to *command*.

        Raises:
            Unavailable: it has none, or is left alone.
        """
        try:
            return await self.guard.run(lambda: self._client.execute_command(*command), timeout=timeout)
        except (self._errors.RedisError, OSError) as error:
            raise Unavailable(f"the cache in Redis does not answer ({error}): see whether the server runs.") from error

    def _record_key(self, key: bytes) -> bytes:
        return self._base + b":k:" + key

    def _tag_key(self, tag: bytes) -> bytes:
        return self._base + b":t:" + tag


def _client(config: RedisConfig) -> Any:
    redis = require("redis.asyncio", extra="redis")
    options: dict[str, Any] = {
        "protocol": 2,
        "decode_responses": False,
        "max_connections": _CONNECTIONS,
        # The guard cuts off what takes too long, and a look that was tried again would have come too late.
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "retry": require("redis.asyncio.retry", extra="redis").Retry(
            require("redis.backoff", extra="redis").NoBackoff(), 0
        ),
    }
    if config.password_variable:
        if config.password_variable not in os.environ:
            raise UserError(
                f"the password of Redis should be in the environment variable {config.password_variable!r} "
                "(password_variable), which is not set: set it, or leave the key empty."
            )
        options["password"] = os.environ[config.password_variable]
    try:
        return redis.Redis.from_url(config.url, **options)
    except ValueError as error:
        raise UserError(f"the address of Redis is not allowed: {error}.") from None
