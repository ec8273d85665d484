"""``kill -9`` of the runner at random moments: the next run goes on, and no task's effect is doubled."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.pipelines.graph.graphs import lines, made_workspace, storm_graph

from orita.pipelines.graph.journal import ENDED_WELL, Journal, open_journal

ROOT = Path(__file__).parents[3]
TASKS = [task.name for task in storm_graph().tasks]


def started(folder: Path, how: str) -> subprocess.Popen[str]:
    """Start the runner, and return once it is about to carry out the graph."""
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "TMPDIR": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.pipelines.graph.storm", str(folder), how],
        cwd=ROOT,
        env={**os.environ, **paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "begins\n"
    return process


def ended_well(journal: Journal) -> dict[str, set[str]]:
    """Return, by run, the tasks whose end the journal has."""
    return {
        run.run_id: {name for name, row in journal.tasks(run.run_id).items() if row.status in ENDED_WELL}
        for run in journal.runs(most=1000)
    }


def storm(folder: Path, how: str, kills: int, longest: float) -> None:
    """Kill runs until so many were killed at work; every run that began ends, and each effect is there once."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    rng = random.Random(seed)
    workspace = made_workspace(folder)
    journal = open_journal(workspace.home, workspace.system.name, workspace.clock)
    killed, settled = 0, dict[str, int]()
    while killed < kills:
        process = started(folder, how)
        time.sleep(rng.uniform(0.0, longest))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        killed += process.returncode == -signal.SIGKILL
        calls = Counter(lines(workspace))
        settled |= {
            f"{run} {name}": calls[f"{run} {name}"] for run, names in ended_well(journal).items() for name in names
        }
    last = started(folder, how)
    last.communicate(timeout=120)
    assert last.returncode == 0
    runs = journal.runs(most=1000)
    assert {run.status for run in runs} == {"success"}, "a run that was killed was not gone on with"
    ledger = Counter(line.split("\t")[0] for line in lines(workspace, "ledger"))
    assert ledger == {f"{run.run_id}/{name}": 1 for run in runs for name in TASKS}
    calls = Counter(lines(workspace))
    assert {task: calls[task] for task in settled} == settled, "a task was begun again although the journal had its end"
    attempts = Counter(f"{run.run_id} {each.task}" for run in runs for each in journal.attempts(run.run_id))
    assert all(calls[task] <= attempts[task] for task in calls), "a body was called without a note in the journal"
    found = [{name: row.result for name, row in journal.tasks(run.run_id).items()} for run in runs]
    assert all(results == found[0] and sorted(results) == sorted(TASKS) for results in found)


@pytest.mark.parametrize(("how", "kills", "longest"), [("here", 4, 0.7), ("isolated", 1, 4.0)])
def test_killed_runs_are_gone_on_with(tmp_path: Path, how: str, kills: int, longest: float) -> None:
    """Killed at random moments, each run ends in the end with every effect once."""
    storm(tmp_path, how, kills, longest)


@pytest.mark.slow
@pytest.mark.parametrize(("how", "kills", "longest"), [("here", 40, 0.7), ("isolated", 10, 8.0)])
def test_a_storm_of_kills(tmp_path: Path, how: str, kills: int, longest: float) -> None:
    """Fifty kills, in one process and isolated."""
    storm(tmp_path, how, kills, longest)
