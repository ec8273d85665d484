"""``kill -9`` at any moment, then the same command again: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from pathlib import Path

import pytest
from tests.cli.small_world import command, orita_json, told

from orita.core.home import Home
from orita.events.lake import Lake

EVENTS = 20_000


def kill_after(folder: Path, seconds: float, *arguments: str) -> bool:
    """Start a command, kill it and its children after *seconds*; return whether it was still at work."""
    process = subprocess.Popen(
        command(*arguments),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def check_kills(folder: Path, kills: int, seed: int, *settings: str, longest: float = 25.0) -> None:
    """Kill the whole loop *kills* times, each within *longest* seconds, let it end once, and count everything."""
    print(f"seed {seed}")  # noqa: T201  shown where the test fails
    rng = random.Random(seed)
    first = kill_after(folder, rng.uniform(1.0, 6.0), *settings, "run", "all")
    assert first, "the run ended before it could be killed"
    for _ in range(kills - 1):
        kill_after(folder, rng.uniform(1.0, longest), *settings, "run", "all")
    runs = orita_json(folder, *settings, "run", "all")["runs"]
    table = Lake(Home(folder / ".orita")).snapshot("interactions")
    assert table.rows == EVENTS
    assert runs[-1]["tasks"][-1]["result"]["champion"] == told(folder, "models", "show")["version"]
    models = told(folder, "models", "list")["models"]
    assert len({model["tags"]["orita.draft"] for model in models}) == len(models) == 1
    for part in ("training_sets", "online", "artifacts"):
        assert list((folder / ".orita" / part).rglob(".partial-*")) == []


def test_the_loop_survives_kills(tmp_path: Path) -> None:
    """Killed twice at random moments, from ingest to registration, the loop ends as if it had not been.

    Its model is one of counts, beside no other: what a kill does to the training of a network is tested on its own.
    """
    settings = ("--set=model.type=popularity", "--set=beside=[]", "--set=evaluation.resamples=20")
    check_kills(tmp_path, 2, random.randrange(1000), *settings, longest=10.0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_the_loop_survives_many_kills(tmp_path: Path, seed: int) -> None:
    """The same with many more kills, and with the networks."""
    check_kills(tmp_path, kills=6, seed=seed)
