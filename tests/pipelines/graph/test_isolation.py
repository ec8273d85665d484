"""What a process for each task promises: it is killed at its limit, dies with its run, and its words are kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.pipelines.graph.graphs import lines, made_workspace, origin_of, reopened

from orita.pipelines.graph import Retry, RunOptions, TaskLost, TaskTimeout, run_graph
from orita.pipelines.graph.journal import open_journal
from orita.pipelines.graph.places import log_tail
from orita.pipelines.workspace import Workspace

ROOT = Path(__file__).parents[3]


def only(kind: str, folder: Path, *names: str) -> tuple[Workspace, RunOptions, object]:
    """Return what a run of some tasks of a graph needs."""
    graph, workspace = reopened(kind, str(folder))
    tasks = tuple(task for task in graph.tasks if task.name in names)
    return workspace, RunOptions(origin=origin_of(kind, folder)), replace(graph, tasks=tasks)


def test_a_task_has_a_process_of_its_own_and_what_it_prints_is_kept(tmp_path: Path) -> None:
    """The result comes back as it does in one process; standard output is the log of the attempt."""
    workspace, options, graph = only("odd", tmp_path, "pid")
    report = run_graph(graph, workspace, options)  # type: ignore[arg-type]
    assert report.results["pid"]["pid"] != os.getpid()
    assert log_tail(workspace, report.run_id, "pid", 1, 5) == ["printed by the task"]


def test_results_are_those_of_one_process(tmp_path: Path) -> None:
    """The same graph, in this process and isolated, gives the same results."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    graph, workspace = reopened("chain", str(here))
    expected = run_graph(graph, workspace).results
    graph, workspace = reopened("chain", str(there))
    found = run_graph(graph, workspace, RunOptions(origin=origin_of("chain", there), parallel=3))
    assert found.results == expected
    assert lines(workspace) == ["a", "b", "c"]


@pytest.mark.parametrize(("task", "told"), [("dies", "was killed by signal 9"), ("leaves", "ended with code 3")])
def test_a_process_that_is_lost_is_a_failed_attempt(tmp_path: Path, task: str, told: str) -> None:
    """The run survives it, says how it ended, and tries again."""
    workspace, options, graph = only("odd", tmp_path, task)
    with pytest.raises(TaskLost, match=told):
        run_graph(graph, workspace, replace(options, retry=Retry(1, seconds=0)))  # type: ignore[arg-type]
    journal = open_journal(workspace.home, workspace.system.name, workspace.clock)
    (run,) = journal.runs()
    assert [each.status for each in journal.attempts(run.run_id)] == ["failed", "failed"]


def test_a_task_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    """Also one that would not listen."""
    workspace, options, graph = only("odd", tmp_path, "hangs")
    with pytest.raises(TaskTimeout, match="was killed"):
        run_graph(graph, workspace, replace(options, timeout=10))  # type: ignore[arg-type]
    (line,) = lines(workspace)
    assert gone(int(line.split()[1]))


def gone(pid: int) -> bool:
    """Tell whether a process has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rsplit(")", 1)[1].split()[0] == "Z"


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    until = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < until, "it did not come to that within 90 s"
        time.sleep(0.02)


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGKILL, "running"), (signal.SIGINT, "cancelled")])
def test_tasks_end_with_their_run(tmp_path: Path, sent: signal.Signals, status: str) -> None:
    """Whoever ends the run, its tasks' processes do not work on."""
    code = (
        "from tests.pipelines.graph.graphs import reopened, origin_of\n"
        "from orita.pipelines.graph import run_graph, RunOptions\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it\n"
        "if __name__ == '__main__':\n"
        "    graph, workspace = reopened('odd', sys.argv[1])\n"
        "    graph = replace(graph, tasks=graph.tasks[2:3])\n"
        "    run_graph(graph, workspace, RunOptions(origin=origin_of('odd', Path(sys.argv[1]))))\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "TMPDIR": str(tmp_path)}
    environment = {**os.environ, **paths}
    run = subprocess.Popen([sys.executable, script, tmp_path], env=environment, stderr=subprocess.DEVNULL)
    workspace = made_workspace(tmp_path)
    wait_for(lambda: bool(lines(workspace)))
    run.send_signal(sent)
    run.wait(90)
    pid = int(lines(workspace)[0].split()[1])
    wait_for(lambda: gone(pid))
    journal = open_journal(workspace.home, workspace.system.name, workspace.clock)
    assert [each.status for each in journal.runs()] == [status]
    assert json.dumps(journal.runs()[0].tasks) == '["hangs"]'
