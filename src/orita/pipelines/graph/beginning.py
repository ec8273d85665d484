"""Which run there is to carry out: a new one, or one that an earlier process left without an end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orita.core.clock import to_micros
from orita.core.errors import UserError
from orita.core.ids import uuid7
from orita.pipelines.graph.declaration import Graph, Result
from orita.pipelines.graph.events import CloudEvent, happened
from orita.pipelines.graph.journal import ENDED_WELL, Journal, RunRow, TaskRow
from orita.pipelines.graph.options import RunOptions
from orita.pipelines.graph.places import at_work, settle
from orita.pipelines.workspace import Workspace

__all__ = ["Begun", "begin", "begin_outside", "choose", "found_row", "mark_killed"]

_SETTLE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that is to be carried out, or under way.

    Attributes:
        row: as the journal has it.
        done: the tasks that ended well before.
        resumed: whether an earlier process had begun it.
    """

    row: RunRow
    done: dict[str, TaskRow]
    resumed: bool = False


def choose(graph: Graph, workspace: Workspace, options: RunOptions, journal: Journal, fingerprint: str) -> Begun:
    """Return the run to carry out; only that others were killed is noted.

    Raises:
        UserError: the run to go on with is of other code, configuration or tasks; or no run has the results that a
            start in the middle needs.
    """
    mark_killed(graph, workspace, journal)
    earlier = _to_go_on_with(graph, workspace, options, journal, fingerprint)
    if earlier is not None:
        done = {name: row for name, row in journal.tasks(earlier.run_id).items() if row.status in ENDED_WELL}
        return Begun(earlier, done, resumed=True)
    results = _results_before(graph, options, journal)
    row = _new_row(graph, workspace, options, fingerprint, uuid7(workspace.clock), "runner")
    return Begun(row, {name: found_row(name, result, None) for name, result in results.items()})


def begin(workspace: Workspace, chosen: Begun, journal: Journal) -> None:
    """Note that the run begins, or is gone on with, once nothing that it had begun before is at work any more.

    Who calls this holds the lock of the run: it would be taken for killed otherwise.
    """
    if chosen.resumed:
        settle(workspace, chosen.row.run_id, _SETTLE_SECONDS)
    journal.begin_run(chosen.row, [_started(workspace, chosen.row, resumed=chosen.resumed)])
    for row in () if chosen.resumed else chosen.done.values():
        journal.end_task(chosen.row.run_id, row)


def begin_outside(
    graph: Graph, workspace: Workspace, options: RunOptions, journal: Journal, fingerprint: str, run_id: str
) -> Begun:
    """Return the run *run_id* of which somebody else asks for a task, begun where this is the first.

    Raises:
        UserError: the run is of another graph, or a runner of ours carries it out.
    """
    row = journal.run(run_id)
    if row is None:
        row = _new_row(graph, workspace, options, fingerprint, run_id, "outside")
        journal.begin_run(row, [_started(workspace, row, resumed=False)])
    elif (row.graph, row.owner) != (graph.id, "outside"):
        raise UserError(
            f"run {run_id!r} is one of {row.graph}, begun by {row.cause or 'a runner'}: give --run an id of your own."
        )
    elif row.status == "failed":  # the task that failed is asked for again
        journal.begin_run(row)
    done = {name: each for name, each in journal.tasks(run_id).items() if each.status in ENDED_WELL}
    return Begun(row, done)


def found_row(name: str, result: Result, key: str | None) -> TaskRow:
    """Return the row of a task whose result is that of an earlier run."""
    return TaskRow(name, "cached", 0, 0, None, 0.0, key, result, None)


def mark_killed(graph: Graph, workspace: Workspace, journal: Journal) -> None:
    """Note of runs that are said to be under way, and whose process is gone, that they were killed."""
    for row in journal.runs(graph.id, most=5):
        if row.status == "running" and row.owner == "runner" and not at_work(workspace, row.run_id):
            journal.end_run(row.run_id, "killed", "its process ended before it did", _killed(workspace, row))


def _killed(workspace: Workspace, row: RunRow) -> Iterable[CloudEvent]:
    data = {"run": row.run_id, "graph": row.graph, "error": "its process ended before it did"}
    return [happened(workspace, row.graph, row.run_id, "pipeline.run.failed", data)]


def _to_go_on_with(
    graph: Graph, workspace: Workspace, options: RunOptions, journal: Journal, fingerprint: str
) -> RunRow | None:
    """Return the last run where it is to be gone on with."""
    last = next(iter(journal.runs(graph.id, most=1)), None)
    fresh = options.force or options.start_at is not None or options.resume == "never"
    if fresh or last is None or last.parent is not None or last.owner != "runner":
        return None
    if last.status in ("running", "success"):
        return None
    names = tuple(task.name for task in graph.tasks)
    same = (last.fingerprint, last.tasks) == (fingerprint, names)
    if options.resume == "last" and not same:
        raise UserError(
            f"run {last.run_id} of {graph.id} was begun with other code, configuration or data, and its results would "
            "be mixed with new ones: run it anew without --resume, or begin at a task with --from."
        )
    minutes = (to_micros(workspace.clock.now()) - last.touched) / 60e6
    stopped = ("killed", "cancelled") if options.resume == "stopped" else ("killed",)
    recent = last.status in stopped and minutes <= workspace.runs.resume_minutes
    return last if same and (recent or options.resume == "last") else None


def _results_before(graph: Graph, options: RunOptions, journal: Journal) -> dict[str, Result]:
    """Return the results that a start in the middle takes from the last run that has them."""
    if options.start_at is None:
        return {}
    start = graph.task(options.start_at).name
    again = {name for name, above in graph.ancestors().items() if name == start or start in above}
    before = [task.name for task in graph.tasks if task.name not in again]
    if not before:
        return {}
    found = journal.latest_with(graph.id, before)
    if found is None:
        raise UserError(
            f"no run of {graph.id} in the history has results of {', '.join(before)}, which {start!r} needs: run it "
            "without --from."
        )
    return found[1]


def _new_row(
    graph: Graph, workspace: Workspace, options: RunOptions, fingerprint: str, run_id: str, owner: str
) -> RunRow:
    now = to_micros(workspace.clock.now())
    parent = workspace.attempt.run_id if workspace.attempt else None
    names = tuple(task.name for task in graph.tasks)
    return RunRow(run_id, graph.id, "running", owner, options.cause, parent, fingerprint, names, now, now)


def _started(workspace: Workspace, row: RunRow, *, resumed: bool) -> CloudEvent:
    data = {"run": row.run_id, "graph": row.graph, "cause": row.cause, "resumed": resumed, "parent": row.parent}
    return happened(workspace, row.graph, row.run_id, "pipeline.run.started", data)
