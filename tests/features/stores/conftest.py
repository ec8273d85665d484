from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from tests.features.stores.redis_process import RedisProcess

from orita.features.generations.redis import RedisGenerations
from orita.features.stores.lmdb import LmdbStore
from orita.features.stores.store import OnlineStore


@pytest.fixture(params=["lmdb", "redis", "redis generation"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], OnlineStore]:
    """Return what opens the test's own store, LMDB with a map so small that it must grow."""
    if request.param == "lmdb":
        return lambda: LmdbStore(tmp_path / "store", capacity=1 << 16)
    process: RedisProcess = request.getfixturevalue("redis_process")
    system = uuid4().hex
    if request.param == "redis":
        return lambda: process.store(system)
    generations = RedisGenerations(process.config, tenant="default", system=system)
    name = generations.begin({}, resume=False)
    return lambda: generations.writing(name)
