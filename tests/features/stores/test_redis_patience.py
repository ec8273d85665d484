"""A read of Redis waits no longer than who asks, also for a connection; everybody else waits as configured."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.features.stores.redis_process import RedisProcess

from orita.core.patience import patience
from orita.features.stores.redis import RedisStore
from orita.features.stores.store import StoreAway

_LONG = 30.0


@pytest.fixture
def process(tmp_path: Path) -> Iterator[RedisProcess]:
    """A server that the test may freeze."""
    process = RedisProcess(tmp_path)
    yield process
    process.kill()


def test_a_frozen_server_is_given_up_in_time(process: RedisProcess) -> None:
    """Whether there is a connection or one must be made, it fails when the time is over, and goes on afterwards."""
    store = RedisStore(process.config.model_copy(update={"read_timeout": _LONG}), system="feed")
    store.put_many([(b"a", b"1")])
    os.kill(process._process.pid, signal.SIGSTOP)
    try:
        for _ in range(3):  # the first on the connection that is there, the others on new ones
            started = time.monotonic()
            with pytest.raises(StoreAway, match="in time"), patience(0.05):
                store.get_many([b"a"])
            assert time.monotonic() - started < _LONG / 2
    finally:
        os.kill(process._process.pid, signal.SIGCONT)
    assert store.get_many([b"a"]) == [b"1"]
    with patience(60):
        assert store.get_many([b"a"]) == [b"1"]
    store.close()
