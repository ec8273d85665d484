"""A real store stops or freezes under requests: each is answered, below level 1, which comes back by itself."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.outage import READ_TIMEOUT, Drill, Step, drilled
from tests.features.stores.redis_process import RedisProcess

from orita.core.clock import SystemClock
from orita.features.stores.redis import RedisStore
from orita.serving.resilience.faults import Faults
from orita.serving.resilience.ladder import Level


@pytest.fixture
def process(tmp_path: Path) -> Iterator[RedisProcess]:
    """A server that the test may stop."""
    process = RedisProcess(tmp_path)
    yield process
    process.kill()


@pytest.mark.parametrize("outage", ["stopped", "frozen"])
def test_an_outage_is_survived(process: RedisProcess, outage: str) -> None:
    """Every request is answered; during the outage from memory, and after it by level 1 again."""
    pid = process._process.pid
    steps: list[Step] = [(0.2, process.kill), (0.6, process.start)]
    if outage == "frozen":
        steps = [(0.2, lambda: os.kill(pid, signal.SIGSTOP)), (0.6, lambda: os.kill(pid, signal.SIGCONT))]
    store = RedisStore(process.config.model_copy(update={"read_timeout": READ_TIMEOUT}), system="feed")

    def is_over(at: float, drill: Drill) -> bool:
        return at > 60 or (Level.LAST_GOOD in drill.levels and drill.levels[-5:] == [Level.FULL] * 5 and at > 0.7)

    drill = asyncio.run(drilled(store, Faults([], SystemClock(), {}), steps, is_over))
    store.close()
    assert drill.levels[0] is Level.FULL
    assert {Level.FULL, Level.LAST_GOOD} <= set(drill.levels)  # a machine that stalls may leave one no time for either
    assert drill.recovery(0.6) is not None, "level 1 does not come back"
