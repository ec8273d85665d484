"""`kill -9` at random moments: no decision is lost or made twice, and no version is promoted twice."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from tests.pipelines.retraining.storm import stormy

from orita.control.deployments import Deployments
from orita.pipelines.retraining.watching import record_of

KILLS = 6


def begun(folder: Path, times: int) -> subprocess.Popen[str]:
    """Start a process that retrains, and says so at each task."""
    command = [sys.executable, "-m", "tests.pipelines.retraining.storm", str(folder), str(times)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_lost_and_nothing_is_promoted_twice(tmp_path: Path) -> None:
    """After many kills every deployment is of one decision, and each decision has one end."""
    chance = random.Random(7)
    for _ in range(KILLS):
        with begun(tmp_path, 10_000) as process:
            assert process.stdout is not None
            for _ in range(chance.randint(1, 15)):
                assert process.stdout.readline() == "task\n"
            time.sleep(chance.uniform(0.0, 0.03))
            process.kill()
    with begun(tmp_path, 2) as process:
        process.communicate()
        assert process.returncode == 0
    workspace = stormy(tmp_path)
    record = record_of(workspace)
    state = record.state("small")
    history = Deployments(workspace.home.control).history("small")
    deployed = Counter(each.version for each in history)
    assert history and set(deployed.values()) == {1}
    outcomes = {each.version: each.outcome for each in state.decisions if each.version is not None}
    assert {outcomes[version] for version in deployed} == {"promoted"}
    assert not any(each.outcome == "open" for each in state.decisions)
    commands = Counter(event.command for event in record.history("small") if event.type == "decided")
    assert set(commands.values()) == {1}
    ends = Counter(msgspec.json.decode(event.body)["id"] for event in record.history("small") if event.type == "ended")
    assert set(ends.values()) == {1}
    assert len(state.decisions) == len(commands) >= len(history)
