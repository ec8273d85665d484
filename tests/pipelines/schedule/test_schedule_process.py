"""``orita schedule`` as a process: it runs what is due, goes on after ``kill -9`` and a stop, does nothing twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.cli.small_world import command

from orita.core.clock import SystemClock
from orita.core.home import Home
from orita.events.lake import Lake
from orita.pipelines.graph.delivery import events_file
from orita.pipelines.graph.journal import Journal, open_journal
from orita.pipelines.runs import GRAPHS
from orita.pipelines.schedule import Requests
from orita.project import open_project

_EVENTS = 3_000
_SETTINGS = (
    "--set=model.type=popularity",
    "--set=beside=[]",
    "--set=evaluation.resamples=20",
    f"--set=data_generation.num_interactions={_EVENTS}",
)
_OFF = {"etl": "off", "monitoring": "off", "retraining": "off"}
_MOST_SECONDS = 200.0


@contextmanager
def _scheduler(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start the command; what still runs at the end is killed, with what it began."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command(*_SETTINGS, "schedule"), cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def _journal(folder: Path) -> Iterator[Journal]:
    with closing(open_journal(Home(folder / ".orita"), "feed", SystemClock())) as journal:
        yield journal


def _until(folder: Path, holds: Callable[[Journal], bool]) -> None:
    """Wait until the journal says what is waited for."""
    end = time.monotonic() + _MOST_SECONDS
    with _journal(folder) as journal:
        while not holds(journal):
            assert time.monotonic() < end, (folder / "log").read_text()[-4000:]
            time.sleep(0.05)


def _statuses(journal: Journal, pipeline: str) -> list[str]:
    return [run.status for run in journal.runs(GRAPHS[pipeline], most=50)]


def _ended(pipeline: str, times: int) -> Callable[[Journal], bool]:
    """Return what tells whether so many runs of a pipeline ended well."""
    return lambda journal: _statuses(journal, pipeline).count("success") >= times


def _began(pipeline: str, task: str) -> Callable[[Journal], bool]:
    """Return what tells whether the newest run of a pipeline is at a task, or past it."""

    def holds(journal: Journal) -> bool:
        runs = journal.runs(GRAPHS[pipeline], most=1)
        return bool(runs) and task in journal.tasks(runs[0].run_id)

    return holds


def _stopped(process: subprocess.Popen[bytes]) -> int:
    """Stop it as services are stopped; return its exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(60)


def _nothing_doubled(folder: Path) -> None:
    """Count what was done: rows, ends of tasks by run, models."""
    home = Home(folder / ".orita")
    assert Lake(home).snapshot("interactions").rows == _EVENTS
    lines = events_file(open_project(folder).workspace()).read_text().splitlines()
    events = {event["id"]: event for event in map(json.loads, lines)}
    ends = Counter(each["subject"] for each in events.values() if each["type"] == "pipeline.task.completed")
    assert set(ends.values()) == {1}
    assert [each["type"] for each in events.values()].count("model.training.completed") <= 1


@pytest.mark.timeout(600)
def test_killed_and_stopped_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """Killed within ETL and stopped within the training that follows, each is one run, and ends once."""
    (tmp_path / "orita.yaml").write_text(json.dumps({"runs": {"schedules": _OFF}}))
    with _journal(tmp_path) as journal:
        assert Requests(journal, SystemClock()).ask("etl", "schedule 2024-06-02T02:00Z, etl")
    with _scheduler(tmp_path) as process:
        _until(tmp_path, _began("etl", "compute_features"))
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    with _scheduler(tmp_path) as process:
        _until(tmp_path, _began("training", "train_model"))
        assert _stopped(process) == 130
    with _journal(tmp_path) as journal:
        assert _statuses(journal, "etl") == ["success"]
        assert _statuses(journal, "training") in (["cancelled"], ["success"])
        assert [request.pipeline for request in Requests(journal, SystemClock()).waiting()] == ["training"]
    with _scheduler(tmp_path) as process:
        _until(tmp_path, lambda journal: not Requests(journal, SystemClock()).waiting())
        assert process.poll() is None
        assert _stopped(process) == 130
    with _journal(tmp_path) as journal:
        assert _statuses(journal, "etl") == _statuses(journal, "training") == ["success"]
    _nothing_doubled(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment_each_time_that_is_due_runs_once(tmp_path: Path, seed: int) -> None:
    """ETL every minute for some minutes, with kills: no minute has two runs, and none is left undone."""
    (tmp_path / "orita.yaml").write_text(json.dumps({"runs": {"schedules": {**_OFF, "etl": "* * * * *"}}}))
    rng = random.Random(seed)
    for _ in range(6):
        with _scheduler(tmp_path):
            time.sleep(rng.uniform(5.0, 60.0))
    with _journal(tmp_path) as journal:
        before = _statuses(journal, "etl").count("success")
    with _scheduler(tmp_path) as process:
        _until(tmp_path, _ended("etl", before + 2))
        _until(tmp_path, lambda journal: not Requests(journal, SystemClock()).waiting())
        assert _stopped(process) == 130
    with _journal(tmp_path) as journal:
        runs = journal.runs(GRAPHS["etl"], most=50)
    # The last one may have begun when it was stopped.
    assert [run.status for run in runs if run.status != "success"] in ([], ["cancelled"])
    assert len({run.cause for run in runs}) == len(runs)
    assert all(run.cause.startswith("schedule ") for run in runs)
    _nothing_doubled(tmp_path)
