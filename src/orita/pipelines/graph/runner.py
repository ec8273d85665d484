"""The runner: carries out a graph as one run, or one task of a run that somebody else schedules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace

from orita.core.errors import UserError
from orita.pipelines.graph.beginning import Begun, begin, begin_outside, choose
from orita.pipelines.graph.conductor import Conductor
from orita.pipelines.graph.declaration import Graph
from orita.pipelines.graph.delivery import deliver, greet, listeners_of
from orita.pipelines.graph.events import CloudEvent, happened
from orita.pipelines.graph.failures import sentence_of
from orita.pipelines.graph.history import prune
from orita.pipelines.graph.journal import ENDED_WELL, Journal, open_journal
from orita.pipelines.graph.keys import fingerprint
from orita.pipelines.graph.options import RunOptions
from orita.pipelines.graph.places import held, run_lock, task_lock
from orita.pipelines.graph.reports import RunReport, TaskReport, keep_report
from orita.pipelines.workspace import Workspace

__all__ = ["check_run_id", "run_graph", "run_task"]

_LOCK_SECONDS, _LOOK_SECONDS = 30.0, 5.0
_LONGEST_ID = 200


def run_graph(graph: Graph, workspace: Workspace, options: RunOptions | None = None) -> RunReport:
    """Carry out *graph* and return what became of each task; the report is kept among the home's reports.

    Raises:
        OritaError: a task failed; the report of the run up to it is kept too, as it is of what a library raises.
        UserError: another run of a graph that must be alone is at work; or there is nothing to go on with as asked.
        KeyboardInterrupt: it was cancelled; what was at work has ended, and the run can be gone on with.
    """
    options = options or RunOptions()
    with _alone(graph, workspace), closing(_journal(workspace)) as log:
        whole = fingerprint(graph, workspace)
        greet(log, listeners_of(workspace))
        chosen = choose(graph, workspace, options, log, whole)
        # A moment longer than `orita runs` takes to look whether it is at work.
        with held(run_lock(workspace, chosen.row.run_id), _LOOK_SECONDS, f"run {chosen.row.run_id}"):
            begin(workspace, chosen, log)
            conductor = Conductor(graph, workspace, options, log, chosen, whole)
            with _delivered(workspace, log), _ended(graph, workspace, log, chosen, conductor):
                conductor.conduct()
        return _told(conductor)


def run_task(
    graph: Graph, workspace: Workspace, task: str, run_id: str, options: RunOptions | None = None
) -> TaskReport:
    """Carry out one task of the run *run_id*, which another scheduler leads; what the task follows has ended there.

    The first task begins the run, the last one that ends well ends it. A task that ended well before is not done again.

    Raises:
        UserError: the task follows one that has not ended well in this run; or the run is not of this graph.
        OritaError: the task failed.
    """
    options = replace(options or RunOptions(), origin=None, parallel=1)  # this process is its own
    check_run_id(run_id)
    graph.task(task)
    lock = held(task_lock(workspace, run_id, task), _LOCK_SECONDS, f"task {task!r} of run {run_id}")
    with _alone(graph, workspace), lock, closing(_journal(workspace)) as log:
        greet(log, listeners_of(workspace))
        begun = begin_outside(graph, workspace, options, log, fingerprint(graph, workspace), run_id)
        _refuse_too_early(graph, task, begun)
        conductor = Conductor(graph, workspace, options, log, begun, begun.row.fingerprint, only=(task,))
        if task not in begun.done:
            ended = _ended(graph, workspace, log, begun, conductor, led_elsewhere=True)
            with _delivered(workspace, log), ended:
                conductor.conduct()
        return next(each for each in _told(conductor).tasks if each.name == task)


def check_run_id(run_id: str) -> None:
    """Refuse what cannot be the id of a run, as it names a folder too.

    Raises:
        UserError: it is empty, too long, begins with a point, or has a character that is none of those allowed.
    """
    fine = all(letter.isalnum() or letter in "_.:+-" for letter in run_id) and run_id.isascii()
    if not (fine and 0 < len(run_id) <= _LONGEST_ID and run_id[0] != "."):
        raise UserError(f"run id {run_id!r} cannot be used: give 1 to 200 letters, digits, '_', '.', ':', '+' or '-'.")


@contextmanager
def _delivered(workspace: Workspace, journal: Journal) -> Iterator[None]:
    """Hand on what is told of a run, however it ends; a run in another one leaves that to it."""
    try:
        yield
    finally:
        if workspace.attempt is None:
            deliver(workspace, journal)


@contextmanager
def _ended(
    graph: Graph,
    workspace: Workspace,
    journal: Journal,
    begun: Begun,
    conductor: Conductor,
    *,
    led_elsewhere: bool = False,
) -> Iterator[None]:
    """Note how the run ended, whatever it was that ended it."""
    run_id = begun.row.run_id

    def told(type_: str, **more: object) -> list[CloudEvent]:
        seconds = conductor.report().seconds
        data = {"run": run_id, "graph": graph.id, "cause": begun.row.cause, "parent": begun.row.parent}
        elsewhere = {"led_elsewhere": True} if led_elsewhere else {}
        return [happened(workspace, graph.id, run_id, type_, {**data, "seconds": seconds, **more, **elsewhere})]

    try:
        yield
    except Exception as error:
        journal.end_run(run_id, "failed", sentence_of(error), told("pipeline.run.failed", error=sentence_of(error)))
        keep_report(conductor.report(), workspace)
        raise
    except BaseException:
        journal.end_run(run_id, "cancelled", "it was cancelled", told("pipeline.run.cancelled"))
        keep_report(conductor.report(), workspace)
        raise
    if conductor.failed is not None:
        task, raised = conductor.failed
        sentence = sentence_of(raised)
        journal.end_run(run_id, "failed", sentence, told("pipeline.run.failed", task=task, error=sentence))
    elif conductor.complete:
        cached = conductor.report().cached
        journal.end_run(run_id, "success", None, told("pipeline.run.completed", cached=cached))
    else:
        return  # of a run from outside: the next task goes on
    keep_report(conductor.report(), workspace)
    prune(graph.id, workspace, journal)


def _told(conductor: Conductor) -> RunReport:
    """Return the report; what a task raised is raised here."""
    if conductor.failed is not None:
        raise conductor.failed[1]
    return conductor.report()


def _refuse_too_early(graph: Graph, task: str, begun: Begun) -> None:
    for before in graph.follows()[task]:
        if before not in begun.done or begun.done[before].status not in ENDED_WELL:
            raise UserError(
                f"task {task!r} follows {before!r}, which has not ended well in run {begun.row.run_id!r}: "
                f"run --task {before} first, with the same --run."
            )


def _alone(graph: Graph, workspace: Workspace) -> AbstractContextManager[None]:
    return workspace.alone(graph.id) if graph.alone else nullcontext()


def _journal(workspace: Workspace) -> Journal:
    return open_journal(workspace.home, workspace.system.name, workspace.clock)
