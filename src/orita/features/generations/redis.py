"""Generations in Redis or Valkey, which many machines share: a store each, and a key that names the one in use.

All keys of a system are in one slot, so that the next generation takes its place in one script. Nothing is looked for
among the keys of others: the names of all generations are kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orita.core.ids import uuid7
from orita.features.generations.generation import Generation
from orita.features.stores.redis import MARK, RedisStore
from orita.features.stores.redis_server import RedisConfig, RedisServer, key_of
from orita.features.stores.store import StoreAway

__all__ = ["RedisGenerations"]

# A generation that another publish has retired meanwhile does not become the current one.
_FINISH = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return false end
local before = redis.call('GET', KEYS[3]) or ''
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('SET', KEYS[3], ARGV[2])
return before
"""

# Another publish may have finished meanwhile what this one found unfinished.
_RETIRE = """
if redis.call('GET', KEYS[5]) == ARGV[1] then return 0 end
redis.call('UNLINK', KEYS[1], KEYS[2])
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
return 1
"""


class RedisGenerations:
    """See `Generations`.

    Args:
        config: the server.
        tenant, system: whose state.

    Raises:
        MissingExtra: the client is not installed.
        UserError: the URL or a name is not allowed.
    """

    most_changes = 50_000
    """The server answers nobody else while it makes them: about 0.1 s."""

    near = False
    """One round trip a request."""

    def __init__(self, config: RedisConfig, *, tenant: str, system: str) -> None:
        self._config, self._tenant, self._system = config, tenant, system
        self._server = RedisServer(config)
        self._pointer, self._begun, self._made = (
            key_of(config, tenant, system, part) for part in ("current", "begun", "made")
        )
        self._known: Generation | None = None

    def current(self) -> Generation | None:
        """Return the generation that readers use, None before the first, or where its records are not there."""
        pointer = self._server.read("GET", self._pointer)
        if pointer is None:
            return None
        name = pointer.decode().strip()
        if self._known is None or self._known.name != name:  # what is said of a generation never changes
            made = self._server.read("HGET", self._made, name)
            there = self._server.read("HEXISTS", self._key(name, "records"), MARK)
            self._known = Generation.from_json(made) if made and there else None
        return self._known

    def names(self) -> tuple[str, ...]:
        """Return the names of all there are, the oldest first."""
        return tuple(sorted(name.decode() for name in self._server.read("HKEYS", self._begun)))

    def unfinished(self) -> dict[str, dict[str, Any]]:
        """Return by name what those are made of that were begun and not finished, the oldest first."""
        made = set(self._server.read("HKEYS", self._made))
        begun = sorted(self._server.read("HGETALL", self._begun).items())
        return {name.decode(): json.loads(said) for name, said in begun if name not in made}

    def begin(self, made_of: Mapping[str, object], *, resume: bool) -> str:
        """Return the name of a generation to write; see the contract."""
        for begun, made in self.unfinished().items() if resume else ():
            if made == made_of and self._server.read("HEXISTS", self._key(begun, "records"), MARK):
                return begun
        name = f"gen-{uuid7()}"
        self._server.write_together(
            ("HSET", self._begun, name, json.dumps(made_of)), ("HSET", self._key(name, "records"), MARK, b"")
        )
        return name

    def writing(self, name: str) -> RedisStore:
        """Open the store of a generation, to write it; its reads wait as long as writes."""
        patient = self._config.model_copy(update={"read_timeout": self._config.write_timeout})
        return self._store(patient, name)

    def reading(self, name: str) -> RedisStore:
        """Open the store of a generation, to read it."""
        return self._store(self._config, name)

    def finish(self, made: Generation) -> None:
        """Make *made* the generation that readers use, in one script, and delete all but it and the one before."""
        keys = (self._key(made.name, "records"), self._made, self._pointer)
        before = self._server.script(_FINISH, 3, *keys, MARK, made.name, made.to_json())
        if before is None:
            raise StoreAway(
                f"{made.name} is no more in {self._server}: another publish of {self._system!r} has ended meanwhile, "
                "or the server has lost it; run this again."
            )
        for name in self.names():
            if name not in (made.name, before.decode().strip()):
                self._retire(name)

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def _store(self, config: RedisConfig, name: str) -> RedisStore:
        return RedisStore(config, tenant=self._tenant, system=self._system, generation=name, marked=True)

    def _key(self, *parts: str) -> bytes:
        return key_of(self._config, self._tenant, self._system, *parts)

    def _retire(self, name: str) -> None:
        """Delete a generation: the server frees its memory in a thread of its own (UNLINK)."""
        stored = (self._key(name, "records"), self._key(name, "offsets"))
        self._server.script(_RETIRE, 5, *stored, self._made, self._begun, self._pointer, name)
