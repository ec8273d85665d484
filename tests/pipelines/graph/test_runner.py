"""What the runner promises: order, parallelism, retries, limits of time, cache, resumption, cancellation, history."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.pipelines.graph.graphs import chain, lines, made_workspace, marked, written

from orita.core.clock import ManualClock
from orita.core.errors import Unavailable, UserError
from orita.pipelines.graph import (
    Cache,
    Graph,
    Result,
    Retry,
    RunOptions,
    Task,
    TaskTimeout,
    append_once,
    run_graph,
    run_task,
)
from orita.pipelines.graph.journal import Journal, RunRow, open_journal
from orita.pipelines.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return surroundings without any state."""
    return made_workspace(tmp_path)


def journal(workspace: Workspace) -> Journal:
    """Open the journal."""
    return open_journal(workspace.home, workspace.system.name, workspace.clock)


def failing(name: str, times: int, error: Exception, **more: Any) -> Task:
    """Return a task that fails so many times, then is well."""

    def body(workspace: Workspace, results: Mapping[str, Result]) -> Result:
        written(workspace, name)
        if lines(workspace).count(name) <= times:
            raise error
        return {"tries": lines(workspace).count(name)}

    return Task(name, body, **more)


def test_a_task_sees_the_results_of_all_that_it_follows_and_of_nothing_else(workspace: Workspace) -> None:
    """Dependencies are what is declared; without a word a task follows the one before it."""
    graph = Graph(
        "diamond",
        None,
        (
            marked("a", after=()),
            marked("left", after=("a",)),
            marked("right", after=("a",)),
            marked("alone", after=()),
            marked("both", after=("left", "right")),
            marked("last"),
        ),
    )
    results = run_graph(graph, workspace).results
    assert {name: result["saw"] for name, result in results.items()} == {
        "a": [],
        "left": ["a"],
        "right": ["a"],
        "alone": [],
        "both": ["a", "left", "right"],
        "last": ["a", "both", "left", "right"],
    }


@pytest.mark.parametrize(
    ("tasks", "told"),
    [
        (("a", "a"), "two tasks 'a'"),
        (("a b",), "no usable name"),
    ],
)
def test_a_graph_that_cannot_be_is_refused_where_it_is_declared(tasks: tuple[str, ...], told: str) -> None:
    """Names are unique and usable as files; what a task follows is declared before it, so there is no circle."""
    with pytest.raises(UserError, match=told):
        chain(*tasks)
    with pytest.raises(UserError, match=r"follows 'fetsh', which is not declared before it. Did you mean 'fetch'\?"):
        Graph("g", None, (marked("fetch"), marked("use", after=("fetsh",))))
    with pytest.raises(UserError, match="timeout of 0"):
        marked("a", timeout=0)
    with pytest.raises(UserError, match="cannot be"):
        Retry(times=-1)


def test_tasks_that_do_not_follow_each_other_are_at_work_together(workspace: Workspace) -> None:
    """Two tasks that wait for each other end, with two places; a third waits for a place."""
    meeting = threading.Barrier(2, timeout=60)
    together: list[int] = []
    count = threading.Lock()
    now = 0

    def body(workspace: Workspace, results: Mapping[str, Result]) -> Result:
        nonlocal now
        with count:
            now += 1
            together.append(now)
        meeting.wait()
        with count:
            now -= 1
        return {}

    graph = Graph("wide", None, tuple(Task(name, body, after=()) for name in "abcd"))
    run_graph(graph, workspace, RunOptions(parallel=2))
    assert max(together) == 2 and len(together) == 4


def test_a_failed_task_is_tried_again_and_the_history_has_every_attempt(workspace: Workspace) -> None:
    """What the world did may be over the next time; attempts and sentences are kept."""
    task = failing("shaky", 2, ConnectionError("gone"), retry=Retry(2, seconds=0.01, factor=2))
    report = run_graph(Graph("g", None, (task,)), workspace)
    assert report.results == {"shaky": {"tries": 3}}
    assert report.tasks[0].attempts == 3
    attempts = journal(workspace).attempts(report.run_id)
    assert [(each.number, each.status, each.error) for each in attempts] == [
        (1, "failed", "ConnectionError: gone"),
        (2, "failed", "ConnectionError: gone"),
        (3, "success", None),
    ]


@pytest.mark.parametrize(
    ("error", "calls"), [(UserError("mend it."), 1), (Unavailable("away."), 3), (KeyError("x"), 3)]
)
def test_what_its_user_must_mend_is_not_tried_again(workspace: Workspace, error: Exception, calls: int) -> None:
    """Retries are for what waiting may mend."""
    graph = Graph("g", None, (failing("a", 9, error),))
    with pytest.raises(type(error)):
        run_graph(graph, workspace, RunOptions(retry=Retry(2, seconds=0)))
    assert len(lines(workspace)) == calls


def test_waits_between_attempts_grow_up_to_a_bound() -> None:
    """The wait is multiplied by the factor with each failure, and never longer than the longest."""
    retry = Retry(5, seconds=10, factor=3, longest_seconds=60)
    assert [retry.wait(failures) for failures in (1, 2, 3, 500)] == [10, 30, 60, 60]


def test_after_a_failure_nothing_more_begins_and_what_is_at_work_ends(workspace: Workspace) -> None:
    """Of two branches one fails: the other's task at work is kept, its next one does not begin."""
    begun, failed = threading.Event(), threading.Event()

    def fails(workspace: Workspace, results: Mapping[str, Result]) -> Result:
        begun.wait(60)
        failed.set()
        raise UserError("no.")

    def slow(workspace: Workspace, results: Mapping[str, Result]) -> Result:
        begun.set()
        failed.wait(60)
        time.sleep(0.05)
        return {"kept": True}

    tasks = (Task("fails", fails, after=()), Task("slow", slow, after=()), marked("next", after=("slow",)))
    with pytest.raises(UserError, match=r"no\."):
        run_graph(Graph("g", None, tasks), workspace, RunOptions(parallel=2))
    (run,) = journal(workspace).runs()
    rows = journal(workspace).tasks(run.run_id)
    assert {name: row.status for name, row in rows.items()} == {"fails": "failed", "slow": "success"}
    assert (run.status, run.error) == ("failed", "no.")


def test_a_task_that_takes_too_long_is_interrupted(workspace: Workspace) -> None:
    """The limit of an attempt holds in this process too, and the alarm that was set before is set again."""
    before = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0] > 0
    task = Task("slow", lambda w, r: time.sleep(600) or {}, timeout=0.05)  # type: ignore[func-returns-value]
    with pytest.raises(TaskTimeout, match=r"'slow' took longer than its 0\.05 s"):
        run_graph(Graph("g", None, (task,)), workspace)
    assert (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0] > 0) == before
    with pytest.raises(UserError, match="a thread cannot be stopped"):
        run_graph(Graph("g", None, (task,)), workspace, RunOptions(parallel=2))


def test_a_limit_within_a_limit_leaves_the_outer_one(workspace: Workspace) -> None:
    """A run that is part of a task does not switch off the task's own alarm."""

    def outer(workspace: Workspace, results: Mapping[str, Result]) -> Result:
        run_graph(Graph("inner", None, (marked("quick", timeout=60),)), workspace)
        return {"left": signal.getitimer(signal.ITIMER_REAL)[0]}

    report = run_graph(Graph("g", None, (Task("outer", outer, timeout=500),)), workspace)
    assert 60 < report.results["outer"]["left"] <= 500


def cached_graph(value: list[int], *, version: int = 1, holds: bool = True) -> Graph:
    """Return a graph of two tasks that are found by an input which the test can change."""
    first = Cache(lambda w, r: {"value": value[0]}, version, lambda w, result: holds)
    return Graph("c", None, (marked("read", {"x": 1}, cache=first), marked("use", cache=Cache())))


def test_nothing_changed_nothing_done(workspace: Workspace) -> None:
    """A task is found by its inputs; another input, version, configuration, or a lost result does it again."""
    value = [1]
    for graph, options, done in (
        (cached_graph(value), RunOptions(), ["read", "use"]),
        (cached_graph(value), RunOptions(), []),
        (cached_graph(value, version=2), RunOptions(), ["read"]),
        (cached_graph(value, version=2), RunOptions(force=True), ["read", "use"]),
        (cached_graph(value, holds=False), RunOptions(), ["read"]),
    ):
        (workspace.home.root / "bodies").write_text("")
        report = run_graph(graph, workspace, options)
        assert lines(workspace) == done
        assert report.results["read"] == {"x": 1} and report.results["use"] == {"saw": ["read"]}
        assert report.cached is (not done)
    section = workspace.data.split.model_copy(update={"val": 0.1, "test": 0.2})
    other = replace(workspace, data=workspace.data.model_copy(update={"split": section}))
    (workspace.home.root / "bodies").write_text("")
    run_graph(cached_graph(value), other)
    assert lines(workspace) == ["use"], "a cache that names no inputs depends on the whole configuration"
    value[0] = 2
    run_graph(cached_graph(value), other)
    assert lines(workspace) == ["use", "read"]


def test_a_failed_run_is_gone_on_with_on_request(workspace: Workspace) -> None:
    """What ended well is kept with its result, and the run keeps its id."""
    graph = Graph("g", None, (marked("a", {"x": 7}), failing("b", 1, OSError("disk")), marked("c")))
    with pytest.raises(OSError, match="disk"):
        run_graph(graph, workspace)
    (failed,) = journal(workspace).runs()
    report = run_graph(graph, workspace, RunOptions(resume="last"))
    assert report.resumed and report.run_id == failed.run_id
    assert lines(workspace) == ["a", "b", "b", "c"]
    assert report.results == {"a": {"x": 7}, "b": {"tries": 2}, "c": {"saw": ["a", "b"]}}
    assert [run.status for run in journal(workspace).runs()] == ["success"]
    assert not run_graph(graph, workspace, RunOptions(resume="last")).resumed, "a run that ended well is not gone on"


def test_a_run_of_another_configuration_is_not_gone_on_with(workspace: Workspace) -> None:
    """Results of two configurations do not mix: on request it is refused, by itself a new run begins."""
    graph = Graph("g", None, (marked("a"), failing("b", 1, OSError("disk"))))
    with pytest.raises(OSError, match="disk"):
        run_graph(graph, workspace)
    other = replace(workspace, code="another")
    with pytest.raises(UserError, match="begun with other code, configuration or data"):
        run_graph(graph, other, RunOptions(resume="last"))
    assert not run_graph(graph, other, RunOptions(resume="killed")).resumed


def killed(workspace: Workspace, graph: Graph, done: tuple[str, ...]) -> RunRow:
    """Leave the journal as a killed process leaves it: the run under way, some tasks done, the next one begun."""
    report = run_graph(replace(graph, tasks=graph.tasks[: len(done)]), workspace)
    names = json.dumps([task.name for task in graph.tasks])
    db = journal(workspace)
    db.file.write(
        lambda c: c.execute(
            "UPDATE runs SET status = 'running', tasks = ?, ended = NULL WHERE run_id = ?", (names, report.run_id)
        ),
        durable=False,
    )
    db.begin_task(report.run_id, graph.tasks[len(done)].name)
    row = journal(workspace).run(report.run_id)
    assert row is not None
    return row


def test_the_next_run_goes_on_with_one_that_was_killed(workspace: Workspace) -> None:
    """Within the hour, on the same code and configuration; ``force`` begins anew."""
    row = killed(workspace, chain("a", "b", "c"), ("a",))
    report = run_graph(chain("a", "b", "c"), workspace, RunOptions(resume="killed"))
    assert (report.run_id, report.resumed) == (row.run_id, True)
    assert lines(workspace) == ["a", "b", "c"]
    assert [(a.task, a.number, a.status) for a in journal(workspace).attempts(row.run_id)] == [
        ("a", 1, "success"),
        ("b", 1, "lost"),
        ("b", 2, "success"),
        ("c", 1, "success"),
    ]


@pytest.mark.parametrize(("minutes", "force", "resumed"), [(59, False, True), (61, False, False), (1, True, False)])
def test_a_run_that_was_killed_long_ago_is_not_gone_on_with(
    workspace: Workspace, minutes: int, force: bool, resumed: bool
) -> None:
    """What was true then may not be so now; the history says that it was killed."""
    clock = ManualClock(datetime(2024, 6, 1, tzinfo=UTC))
    then = replace(workspace, clock=clock)
    row = killed(then, chain("a", "b"), ("a",))
    clock.advance(timedelta(minutes=minutes))
    report = run_graph(chain("a", "b"), then, RunOptions(resume="killed", force=force))
    assert report.resumed is resumed
    found = journal(then).run(row.run_id)
    assert found is not None and found.status == ("success" if resumed else "killed")


def test_a_run_about_something_else_is_not_gone_on_with(workspace: Workspace) -> None:
    """A promotion of another version does not take over the verdict on this one."""
    killed(workspace, replace(chain("a", "b"), subject="v1.1.0"), ("a",))
    other = run_graph(replace(chain("a", "b"), subject="v1.2.0"), workspace, RunOptions(resume="killed"))
    assert not other.resumed
    assert lines(workspace) == ["a", "a", "b"]


def test_a_result_that_is_no_json_is_a_failure_of_its_task(workspace: Workspace) -> None:
    """It could not be handed on: the task is told to have failed, and nothing follows."""
    with pytest.raises(TypeError, match="keys must be"):
        run_graph(Graph("g", None, (marked("a", {(1, 2): 3}), marked("b"))), workspace)  # type: ignore[dict-item]
    (run,) = journal(workspace).runs()
    assert {n: row.status for n, row in journal(workspace).tasks(run.run_id).items()} == {"a": "failed"}


def test_a_task_that_waits_for_its_retry_leaves_its_place_to_others(workspace: Workspace) -> None:
    """With one place: what does not follow the failed task is done meanwhile, and the failed one afterwards."""
    tasks = (failing("a", 1, OSError("away"), after=(), retry=Retry(1, seconds=0.2)), marked("b", after=()))
    run_graph(Graph("g", None, tasks), workspace)
    assert lines(workspace) == ["a", "b", "a"]


def test_a_start_in_the_middle_takes_what_is_before_it_from_the_history(workspace: Workspace) -> None:
    """``--from``: that task and all that follow it, on the results of the last run that has the others."""
    graph = Graph(
        "g", None, (marked("a", {"x": 1}), marked("side", {"y": 2}, after=()), marked("b", after=("a",)), marked("c"))
    )
    with pytest.raises(UserError, match="no run of g in the history has results of a, side"):
        run_graph(graph, workspace, RunOptions(start_at="b"))
    run_graph(graph, workspace)
    report = run_graph(graph, workspace, RunOptions(start_at="b"))
    assert lines(workspace)[4:] == ["b", "c"]
    assert {task.name: task.status for task in report.tasks} == {
        "a": "cached",
        "side": "cached",
        "b": "success",
        "c": "success",
    }
    with pytest.raises(UserError, match=r"no task 'bb'\. Did you mean 'b'"):
        run_graph(graph, workspace, RunOptions(start_at="bb"))


def test_ctrl_c_ends_the_run_and_it_can_be_gone_on_with(workspace: Workspace) -> None:
    """What was at work is noted as cancelled, the report is kept, and a later run finds what was done."""

    def stops(workspace: Workspace, results: Mapping[str, Result]) -> Result:
        written(workspace, "b")
        if lines(workspace).count("b") == 1:
            raise KeyboardInterrupt
        return {}

    graph = Graph("g", None, (marked("a"), Task("b", stops), marked("c")))
    with pytest.raises(KeyboardInterrupt):
        run_graph(graph, workspace)
    (run,) = journal(workspace).runs()
    assert run.status == "cancelled"
    assert {n: row.status for n, row in journal(workspace).tasks(run.run_id).items()} == {
        "a": "success",
        "b": "cancelled",
    }
    assert (workspace.home.reports / "runs" / "g" / f"{run.run_id}.json").exists()
    assert run_graph(graph, workspace, RunOptions(resume="last")).resumed
    assert lines(workspace) == ["a", "b", "b", "c"]


def test_one_task_is_carried_out_for_another_scheduler(workspace: Workspace) -> None:
    """Each call is one task; results pass by the journal; the last task ends the run; a second call does nothing."""
    graph = chain("a", "b")
    with pytest.raises(UserError, match="'b' follows 'a', which has not ended well in run 'scheduled__1'"):
        run_task(graph, workspace, "b", "scheduled__1")
    assert run_task(graph, workspace, "a", "scheduled__1").status == "success"
    found = journal(workspace).run("scheduled__1")
    assert found is not None and (found.status, found.owner) == ("running", "outside")
    assert run_graph(graph, workspace, RunOptions(resume="killed")).run_id != "scheduled__1"
    assert run_task(graph, workspace, "b", "scheduled__1").result == {"saw": ["a"]}
    assert run_task(graph, workspace, "b", "scheduled__1").result == {"saw": ["a"]}
    assert lines(workspace) == ["a", "a", "b", "b"]
    found = journal(workspace).run("scheduled__1")
    assert found is not None and found.status == "success"
    with pytest.raises(UserError, match="is one of chain"):
        run_task(replace(graph, id="other"), workspace, "a", "scheduled__1")
    for wrong in ("", "a/b", ".x", "x" * 201):
        with pytest.raises(UserError, match="run id"):
            run_task(graph, workspace, "a", wrong)


def test_a_task_that_failed_outside_can_be_asked_for_again(workspace: Workspace) -> None:
    """As a scheduler's retry does: the run is failed in between, and ends well."""
    graph = Graph("g", None, (failing("a", 1, OSError("disk")), marked("b")))

    def status() -> str:
        found = journal(workspace).run("r1")
        assert found is not None
        return found.status

    with pytest.raises(OSError, match="disk"):
        run_task(graph, workspace, "a", "r1")
    assert status() == "failed"
    assert run_task(graph, workspace, "a", "r1").attempts == 2
    assert status() == "running"
    run_task(graph, workspace, "b", "r1")
    assert status() == "success"


def test_the_history_is_bounded(workspace: Workspace) -> None:
    """The last runs of a graph stay, and of old ones only the last; logs and events go with them."""
    few = replace(workspace, runs=workspace.runs.model_copy(update={"keep": 3}))
    clock = ManualClock(datetime(2024, 6, 1, tzinfo=UTC))
    few = replace(few, clock=clock)
    ids = [run_graph(chain("a"), few).run_id for _ in range(5)]
    assert [run.run_id for run in journal(few).runs()] == ids[:1:-1]
    folders = {path.name for path in (few.home.runs / few.system.name).iterdir() if path.is_dir()}
    assert folders == set(ids[2:])
    clock.advance(timedelta(days=365))
    last = run_graph(chain("a"), few).run_id
    assert [run.run_id for run in journal(few).runs()] == [last]
    kept = journal(few).file.write(
        lambda db: [row["run_id"] for row in db.execute("SELECT DISTINCT run_id FROM events")], durable=False
    )
    assert kept == [last]


def test_a_line_is_appended_once(tmp_path: Path) -> None:
    """However often it is asked for, also after a line that a kill tore; other tokens are other lines."""
    path = tmp_path / "folder" / "ledger"
    assert append_once(path, "r/a", "one")
    assert not append_once(path, "r/a", "another")
    with path.open("a") as file:
        file.write("r/b\ttorn")
    assert append_once(path, "r/b", "two")
    assert not append_once(path, "r/b", "two")
    assert path.read_text() == "r/a\tone\nr/b\ttwo\n"
    with pytest.raises(ValueError, match="must be one line"):
        append_once(path, "r/c", "two\nlines")
