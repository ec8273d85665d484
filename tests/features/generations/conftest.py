from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from tests.features.stores.redis_process import RedisProcess

from orita.core.home import Home
from orita.features.generations.generations import Generations
from orita.features.generations.opening import OnlineConfig, open_generations


@pytest.fixture
def on_redis(redis_process: RedisProcess) -> OnlineConfig:
    """A configuration that names the tests' server, with keys of this test's own."""
    return OnlineConfig(store="redis", redis=redis_process.config.model_copy(update={"prefix": uuid4().hex}))


@pytest.fixture(params=["lmdb", "redis"])
def open_system(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Generations]:
    """Return what opens the generations of a system, in folders or in Redis."""
    config = OnlineConfig() if request.param == "lmdb" else request.getfixturevalue("on_redis")
    return lambda system: open_generations(config, Home(tmp_path), system)
