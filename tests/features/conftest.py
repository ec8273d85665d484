from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.features.stores.redis_process import RedisProcess


@pytest.fixture(scope="session")
def redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    """A server for all tests that leave it running."""
    process = RedisProcess(tmp_path_factory.mktemp("redis"))
    yield process
    process.kill()
