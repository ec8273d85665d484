"""A Redis of the tests' own; skipped where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.features.stores.redis_process import RedisProcess


@pytest.fixture(scope="session")
def jobs_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    """A server for all tests that leave it running."""
    process = RedisProcess(tmp_path_factory.mktemp("jobs-redis"))
    yield process
    process.kill()
