"""``orita controller``: one look, or until it is stopped or killed; what it did is told and kept."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_tables import orita_json, run_orita
from tests.delivery.rollouts.answering import Behaviour, World
from tests.serving.patience import attempts

import orita.cli.controller  # noqa: F401  it registers its command
from orita.control.deployments import Deployments
from orita.control.leases import Leases
from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.delivery.rollouts import RolloutPlan, Rollouts

ME: dict[str, Any] = {"actor": "ann", "reason": "because"}


def begun(folder: Path, new: Behaviour) -> tuple[Rollouts, World]:
    """Return a rollout at 1 % in the project's home, and users who were answered for some seconds."""
    home, clock = Home(folder / ".orita"), ManualClock(datetime.now(UTC))
    Deployments(home.control).deploy("feed", "a", **ME)
    rollouts = Rollouts(home.control)
    rollout = rollouts.start("feed", RolloutPlan(strategy="canary", versions=("b",)), **ME)
    world = World(home, clock, {"a": Behaviour(), "b": new}, per_second=1000)
    for _ in range(2):
        world.second(rollout)
    return rollouts, world


def test_nothing_to_do(tmp_path: Path) -> None:
    """Without a rollout it says so, and makes nothing."""
    assert "there is none under way" in run_orita(tmp_path, "controller", "--once")
    assert orita_json(tmp_path, "controller", "--once") == {"rollouts": []}
    assert not (tmp_path / ".orita" / "control.db").exists()


def test_one_look_is_told_and_kept(tmp_path: Path) -> None:
    """The verdict with its words, and the lease is given back; another system's controller leaves it alone."""
    rollouts, _ = begun(tmp_path, Behaviour())
    assert orita_json(tmp_path, "controller", "--once", "--system", "movielens") == {"rollouts": []}
    (told,) = orita_json(tmp_path, "controller", "--once", "--holder", "me")["rollouts"]
    assert (told["did"], told["verdict"], told["versions"]) == ("judged", "not_enough_traffic", ["b"])
    assert rollouts.history("feed")[-1].actor == "controller me"
    assert Leases(Home(tmp_path / ".orita").control).holder("rollouts/feed") is None
    shown = run_orita(tmp_path, "controller", "--once")
    assert "not enough" in shown


def test_help_teaches() -> None:
    """What it does, and where to go on."""
    command = [sys.executable, "-m", "orita", "controller", "--help"]
    words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    shown = " ".join(words)
    assert "back where it is proven" in shown
    assert "orita rollout history" in shown


@contextmanager
def controller(folder: Path, holder: str) -> Iterator[subprocess.Popen[str]]:
    """Run a controller as a process; it is killed in the end."""
    command = [sys.executable, "-m", "orita", "--project", str(folder), "controller", "--json", "--every", "0.2"]
    process = subprocess.Popen(
        [*command, "--holder", holder], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.slow
def test_another_goes_on_where_one_was_killed(tmp_path: Path) -> None:
    """kill -9 of the first while it acts; the second takes over when the lease is over, and finds what is wrong."""
    rollouts, _ = begun(tmp_path, Behaviour(failing=1.0))
    leases = Leases(Home(tmp_path / ".orita").control)
    rollouts.pause("feed", **ME)
    with controller(tmp_path, "first") as first:
        assert any(leases.holder("rollouts/feed") == "first" for _ in attempts())
        first.kill()
    rollouts.resume("feed", **ME)
    with controller(tmp_path, "second") as second:
        assert second.stdout is not None
        told: list[dict[str, Any]] = []
        while not told or told[-1]["did"] != "rolled_back":
            told.append(json.loads(second.stdout.readline()))
        second.send_signal(signal.SIGTERM)
        assert second.wait(60) == 0
    assert rollouts.history("feed")[-1].actor == "controller second"
    assert leases.holder("rollouts/feed") is None
