"""Which online store a project uses: ``online`` in ``orita.yaml``."""

from __future__ import annotations

from typing import Literal

from orita.core.config import Section
from orita.core.home import Home
from orita.features.generations.folder import FolderGenerations
from orita.features.generations.generations import Generations
from orita.features.stores.redis_server import RedisConfig

__all__ = ["OnlineConfig", "open_generations"]


class OnlineConfig(Section):
    """``online``: where the state is that requests read.

    Attributes:
        store: ``lmdb``, files in the home; ``redis``, a server of Redis or Valkey.
        redis: that server.
    """

    store: Literal["lmdb", "redis"] = "lmdb"
    redis: RedisConfig = RedisConfig()


def open_generations(config: OnlineConfig, home: Home, system: str) -> Generations:
    """Return the generations of *system*'s online state in the store that *config* names.

    Raises:
        MissingExtra: it is Redis, and its client is not installed.
        UserError: the address of the server is not allowed.
    """
    if config.store == "lmdb":
        return FolderGenerations(home.online / system)
    from orita.features.generations.redis import RedisGenerations

    return RedisGenerations(config.redis, tenant=home.tenant, system=system)
