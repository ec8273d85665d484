"""The shared online store: Redis or Valkey, one hash of records and one of offsets in one slot, one round trip a read.

A batch is one script, so that it happens wholly or not at all. It is as durable as the server's append-only file:
``appendonly yes`` and ``appendfsync always`` keep what this store promises, ``everysec`` may lose the last second
of a machine that loses power (of records and offsets alike, so that they still agree).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from orita.core.errors import UserError
from orita.features.stores.batches import Batch, checked_batch, pieces
from orita.features.stores.redis_server import RedisConfig, RedisServer, key_of
from orita.features.stores.store import Change, StoreAway, StoreSize

__all__ = ["MARK", "RedisConfig", "RedisStore"]

MARK = b""
"""The field among the records of a generation that says it was begun and not retired; no key of a record is empty."""

_PIECE = 5_000
_PAGE = 1_000
_MOST_CHANGES = 250_000  # one command; servers before 7.0 refuse more than a million arguments
_GLOB = re.compile(rb"([\\*?\[\]])")

# Records first: a command that is refused, for want of memory or of rights, is then the first one of all.
_APPLY = """
if ARGV[1] == '1' and redis.call('HEXISTS', KEYS[1], '') == 0 then return -1 end
local at = 3
for _ = 1, tonumber(ARGV[2]) do
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
for i = 3, moved - 1, 3 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 2]) end
return 1
"""

_CLEAR = """
if ARGV[1] == '1' and redis.call('HEXISTS', KEYS[1], '') == 0 then return -1 end
redis.call('UNLINK', KEYS[1], KEYS[2])
if ARGV[1] == '1' then redis.call('HSET', KEYS[1], '', '') end
return 1
"""


class RedisStore:
    """Records of one system of one tenant.

    Args:
        config: the server.
        tenant, system: whose records; without white space, ``{``, ``}`` and ``:``.
        generation: stores of the same system that know nothing of each other; a rebuild writes a new one while readers
            go on with theirs.
        marked: whether the generation has a mark for as long as it is there. One that was retired, or that the server
            has lost, is then an error: it is not read as empty, and no late writer brings a part of it back.

    Raises:
        MissingExtra: the client is not installed.
        UserError: the URL or a name is not allowed.
    """

    def __init__(
        self,
        config: RedisConfig,
        *,
        tenant: str = "default",
        system: str,
        generation: str = "0",
        marked: bool = False,
    ) -> None:
        self._records, self._offsets = (
            key_of(config, tenant, system, generation, part) for part in ("records", "offsets")
        )
        self._server = RedisServer(config)
        self._generation = f"generation {generation!r} of system {system!r}"
        self._mark = (MARK,) if marked else ()

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the record of each key, in order, None where there is none; one command."""
        if not keys:
            return []
        found: list[bytes | None] = self._server.read("HMGET", self._records, *keys, *self._mark)
        if self._mark and found.pop() is None:
            raise self._gone()
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
        return self._script(_APPLY, *_arguments(batch))

    def offset(self, source: str) -> int | None:
        """Return the offset that *source* was last moved to, None if it never was."""
        raw = self._server.read("HGET", self._offsets, source.encode())
        return None if raw is None else int(raw)

    def put_many(self, records: Iterable[tuple[bytes, bytes]]) -> int:
        """Write records, 5,000 a script; return how many."""
        count = 0
        for piece in pieces(records, _PIECE):
            self._script(_APPLY, *_arguments(Batch({}, piece, [])))
            count += len(piece)
        return count

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield every record whose key starts with *prefix*; the server looks at all keys of the store."""
        self._check_mark()
        pattern = _GLOB.sub(rb"\\\1", prefix) + b"*"
        cursor = 0
        while True:
            cursor, page = self._server.read("HSCAN", self._records, cursor, "MATCH", pattern, "COUNT", _PAGE)
            yield from ((key, record) for key, record in page.items() if key != MARK)
            if cursor == 0:
                return

    def clear(self) -> None:
        """Delete all records and offsets, at once."""
        self._script(_CLEAR)

    def size(self) -> StoreSize:
        """Return the number of records, and the server's estimate of the memory that they take."""
        self._check_mark()
        records = self._server.read("HLEN", self._records)
        usage = self._server.read("MEMORY USAGE", self._records, "SAMPLES", 100)
        return StoreSize(int(records) - len(self._mark), int(usage or 0))

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def _script(self, text: str, *arguments: bytes | int) -> bool:
        done = self._server.script(text, 2, self._records, self._offsets, len(self._mark), *arguments)
        if done < 0:
            raise self._gone()
        return bool(done)

    def _check_mark(self) -> None:
        if self._mark and not self._server.read("HEXISTS", self._records, MARK):
            raise self._gone()

    def _gone(self) -> StoreAway:
        return StoreAway(
            f"{self._generation} is no more in {self._server}: newer ones have taken its place, or the server has lost "
            "it; if this goes on, run 'orita features backfill'."
        )


def _arguments(batch: Batch) -> Iterator[bytes | int]:
    yield len(batch.moves)
    for source, (first, after) in batch.moves.items():
        yield from (source, first, after)
    yield len(batch.deletes)
    yield len(batch.puts)
    yield from batch.deletes
    for record in batch.puts:
        yield from record
