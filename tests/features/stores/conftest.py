from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.features.stores.redis_process import RedisProcess

from orita.features.stores.lmdb import LmdbStore
from orita.features.stores.store import OnlineStore


@pytest.fixture(scope="session")
def redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    """A server for all tests that leave it running."""
    process = RedisProcess(tmp_path_factory.mktemp("redis"))
    yield process
    process.kill()


@pytest.fixture(params=["lmdb", "redis"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], OnlineStore]:
    """Return what opens the test's own store, LMDB with a map so small that it must grow."""
    if request.param == "lmdb":
        return lambda: LmdbStore(tmp_path / "store", capacity=1 << 16)
    process: RedisProcess = request.getfixturevalue("redis_process")
    system = uuid4().hex
    return lambda: process.store(system)
