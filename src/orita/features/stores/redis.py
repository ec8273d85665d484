"""The shared online store: Redis or Valkey, one hash of records and one of offsets in one slot, one round trip a read.

A batch is one script, so that it happens wholly or not at all. It is as durable as the server's append-only file:
``appendonly yes`` and ``appendfsync always`` keep what this store promises, ``everysec`` may lose the last second
of a machine that loses power (of records and offsets alike, so that they still agree).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from orita.core.config import Section
from orita.core.errors import OritaError, UserError
from orita.core.extras import require
from orita.features.stores.batches import Batch, checked_batch, pieces
from orita.features.stores.store import Change, StoreSize

__all__ = ["RedisConfig", "RedisStore"]

_PIECE = 5_000
_PAGE = 1_000
_MOST_CHANGES = 250_000  # one command; servers before 7.0 refuse more than a million arguments
_NAME = re.compile(r"[^\s{}:]+")
_GLOB = re.compile(rb"([\\*?\[\]])")

# Records first: a command that is refused, for want of memory or of rights, is then the first one of all.
_APPLY = """
local at = 2
for _ = 1, tonumber(ARGV[1]) do
  if (redis.call('HGET', KEYS[2], ARGV[at]) or '0') ~= ARGV[at + 1] then return 0 end
  at = at + 3
end
local moved = at
local function each(command, count, width)
  local last = at + count * width
  while at < last do
    local stop = math.min(at + 2000, last)
    redis.call(command, KEYS[1], unpack(ARGV, at, stop - 1))
    at = stop
  end
end
local deletes, puts = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
at = at + 2
each('HDEL', deletes, 1)
each('HSET', puts, 2)
for i = 2, moved - 1, 3 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 2]) end
return 1
"""


class RedisConfig(Section):
    """Where the server is, and how long to wait for it.

    Attributes:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, with user and password where the server wants them.
        read_timeout: seconds until a read has failed.
        write_timeout: seconds until a write has failed; the server answers once its append-only file is synced.
    """

    url: str = "redis://127.0.0.1:6379/0"
    read_timeout: float = Field(1.0, gt=0, le=60)
    write_timeout: float = Field(30.0, gt=0, le=600)


class RedisStore:
    """Records of one system of one tenant.

    Args:
        config: the server.
        tenant, system: whose records; without white space, ``{``, ``}`` and ``:``.
        generation: stores of the same system that know nothing of each other; a rebuild writes a new one while readers
            go on with theirs.

    Raises:
        MissingExtra: the client is not installed.
        UserError: the URL or a name is not allowed.
    """

    def __init__(self, config: RedisConfig, *, tenant: str = "default", system: str, generation: str = "0") -> None:
        for field, name in (("tenant", tenant), ("system", system), ("generation", generation)):
            if not _NAME.fullmatch(name):
                raise UserError(f"{field} is {name!r}: in Redis it is text without white space, '{{', '}}' and ':'.")
        self._redis = require("redis", extra="redis")
        self._address = _address(config.url)
        self._digest = hashlib.sha1(_APPLY.encode(), usedforsecurity=False).hexdigest()
        self._records, self._offsets = (
            f"{{orita:{tenant}:{system}}}:{generation}:{part}".encode() for part in ("records", "offsets")
        )
        self._reading = self._client(config.url, config.read_timeout)
        self._writing = self._client(config.url, config.write_timeout)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the record of each key, in order, None where there is none; one command."""
        if not keys:
            return []
        found: list[bytes | None] = self._call(self._reading, "HMGET", self._records, *keys)
        return found

    def apply(
        self,
        source: str,
        first: int,
        next: int,  # noqa: A002
        changes: Iterable[Change],
        *,
        also: Mapping[str, tuple[int, int]] = {},
    ) -> bool:
        """Make *changes* and move the offset of *source*, in one script, iff it is *first*; see the contract.

        Raises:
            UserError: over 250,000 changes, or as in the contract.
        """
        batch = checked_batch(source, first, next, changes, also)
        count = len(batch.puts) + len(batch.deletes)
        if count > _MOST_CHANGES:
            raise UserError(f"a batch has {count} changes, Redis takes {_MOST_CHANGES}: apply it in smaller ones.")
        arguments = (2, self._records, self._offsets, *_arguments(batch))
        return bool(self._script(*arguments))

    def offset(self, source: str) -> int | None:
        """Return the offset that *source* was last moved to, None if it never was."""
        raw = self._call(self._reading, "HGET", self._offsets, source.encode())
        return None if raw is None else int(raw)

    def put_many(self, records: Iterable[tuple[bytes, bytes]]) -> int:
        """Write records, 5,000 a command; return how many."""
        count = 0
        for piece in pieces(records, _PIECE):
            self._call(self._writing, "HSET", self._records, *(part for record in piece for part in record))
            count += len(piece)
        return count

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield every record whose key starts with *prefix*; the server looks at all keys of the store."""
        pattern = _GLOB.sub(rb"\\\1", prefix) + b"*"
        cursor = 0
        while True:
            cursor, page = self._call(self._reading, "HSCAN", self._records, cursor, "MATCH", pattern, "COUNT", _PAGE)
            yield from page.items()
            if cursor == 0:
                return

    def clear(self) -> None:
        """Delete all records and offsets, in one command."""
        self._call(self._writing, "UNLINK", self._records, self._offsets)

    def size(self) -> StoreSize:
        """Return the number of records, and the server's estimate of the memory that they take."""
        records = self._call(self._reading, "HLEN", self._records)
        usage = self._call(self._reading, "MEMORY USAGE", self._records, "SAMPLES", 100)
        return StoreSize(int(records), int(usage or 0))

    def close(self) -> None:
        """Close the connections."""
        self._reading.close()
        self._writing.close()

    def _client(self, url: str, timeout: float) -> Any:
        options = {
            "protocol": 2,
            "decode_responses": False,
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            # A batch that was tried again unseen would be answered as another writer's.
            "retry": self._redis.retry.Retry(self._redis.backoff.NoBackoff(), 0),
        }
        try:
            client = self._redis.Redis.from_url(url, **options)
        except ValueError as error:
            raise UserError(f"the address of Redis, {self._address}, is not allowed: {error}.") from None
        client.connection_pool.connection_kwargs.update(options)  # also over those that the URL brings
        return client

    def _script(self, *arguments: Any) -> Any:
        try:
            return self._call(self._writing, "EVALSHA", self._digest, *arguments)
        except self._redis.exceptions.NoScriptError:  # a server that was restarted has forgotten it
            return self._call(self._writing, "EVAL", _APPLY, *arguments)

    def _call(self, client: Any, *command: Any) -> Any:
        errors = self._redis.exceptions
        try:
            return client.execute_command(*command)
        except errors.NoScriptError:
            raise
        except errors.AuthenticationError as error:
            raise self._failed(f"lets nobody in so ({error}): check user and password") from error
        except errors.TimeoutError as error:
            raise self._failed("did not answer in time: see whether it is overloaded") from error
        except (errors.ConnectionError, OSError) as error:
            raise self._failed(f"is away ({error}): start it, or mend its URL") from error
        except errors.RedisError as error:
            raise self._failed(f"refused ({error}): see its log and its memory") from error

    def _failed(self, why: str) -> OritaError:
        return OritaError(f"Redis at {self._address} {why}.")


def _arguments(batch: Batch) -> Iterator[bytes | int]:
    yield len(batch.moves)
    for source, (first, after) in batch.moves.items():
        yield from (source, first, after)
    yield len(batch.deletes)
    yield len(batch.puts)
    yield from batch.deletes
    for record in batch.puts:
        yield from record


def _address(url: str) -> str:
    """Return *url* without user and password."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UserError(f"the URL of Redis is not allowed: {error}.") from None
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
