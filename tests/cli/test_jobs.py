"""Jobs are looked at and cancelled on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.small_world import orita_inside, told
from tests.features.small_system import DECLARED

from orita.core.clock import SystemClock
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.serving.jobs.config import JobsConfig
from orita.serving.jobs.opening import open_queue
from orita.serving.jobs.queue import NewJob

HERE = ("--home", "home")
JOBS = [uuid7() for _ in range(4)]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with a job of each kind: one that succeeded, one that failed, one that runs, one that waits."""
    folder = tmp_path
    (folder / "orita.yaml").write_text("system: features.py\n")
    (folder / "features.py").write_text(DECLARED)
    queue = open_queue(JobsConfig(), Home(folder / "home"), "small", SystemClock())
    for job in JOBS:
        queue.submit(NewJob(job, b"[]", 2, b"", None, "https://hooks.example.org/" if job == JOBS[0] else None))
    for state, content in (("succeeded", b'[{"request_id": "r"}]'), ("failed", b'{"code": "c", "message": "m."}')):
        lease = queue.take("answer")
        assert lease is not None
        assert queue.finish(lease, state, content)  # type: ignore[arg-type]
    assert queue.take("answer") is not None
    queue.close()
    return folder


def test_list(project: Path) -> None:
    """The last job comes first, with its state; what the queue holds is told."""
    found = told(project, *HERE, "jobs", "list")
    assert [job["job"] for job in found["jobs"]] == JOBS[::-1]
    assert [job["state"] for job in found["jobs"]] == ["queued", "running", "failed", "succeeded"]
    assert (found["open"], found["ended"]) == (2, 2)
    shown = orita_inside(project, *HERE, "jobs", "list", "--last", "1")
    assert "queued" in shown and "succeeded" not in shown and "2 wait or run, 2 ended" in shown


def test_show(project: Path) -> None:
    """A job is shown with its error, for programs with its results."""
    found = told(project, *HERE, "jobs", "show", JOBS[0])
    assert (found["state"], found["callback"], found["results"]) == ("succeeded", "pending", [{"request_id": "r"}])
    shown = orita_inside(project, *HERE, "jobs", "show", JOBS[1])
    assert "c: m." in shown and "failed" in shown
    assert "'nothing' is not known" in orita_inside(project, *HERE, "jobs", "show", "nothing", code=2)


def test_cancel(project: Path) -> None:
    """A job that waits is cancelled, as often as it is asked for; one that has begun is not."""
    for _ in range(2):
        assert "is cancelled" in orita_inside(project, *HERE, "jobs", "cancel", JOBS[3])
    assert told(project, *HERE, "jobs", "cancel", JOBS[3])["state"] == "cancelled"
    assert "is running" in orita_inside(project, *HERE, "jobs", "cancel", JOBS[2], code=2)
    assert "is not known" in orita_inside(project, *HERE, "jobs", "cancel", "nothing", code=2)


def test_a_home_without_jobs(project: Path) -> None:
    """Looking makes no file, and says what to do."""
    assert "There are no jobs" in orita_inside(project, "--home", "empty", "jobs", "list")
    assert not (project / "empty").exists()
