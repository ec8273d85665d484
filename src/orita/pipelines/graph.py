"""What a pipeline is: named tasks in order, each with a result in plain JSON; and the runner that carries it out.

Data pass between tasks on disk; what a task returns is small and says where they are. So a graph runs the same in one
process and with a process for each task. Most tasks are made of components (`orita.pipelines.components`), whose steps
are part of the task's result.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orita.core.errors import OritaError
from orita.core.files import atomic_file
from orita.core.ids import uuid7
from orita.pipelines.workspace import Workspace

if TYPE_CHECKING:
    from orita.pipelines.components.component import Component

__all__ = ["Graph", "Result", "RunReport", "Task", "TaskReport", "run_graph"]

Result = dict[str, Any]
Body = Callable[[Workspace, Mapping[str, Result]], Result]


@dataclass(frozen=True, slots=True)
class Task:
    """One step.

    Attributes:
        name: what it is called.
        body: a function of the workspace and the results of the tasks before it.
        components: what it is made of, given the workspace; None: it is one piece.
    """

    name: str
    body: Body
    components: Callable[[Workspace], Sequence[Component]] | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """A pipeline.

    Attributes:
        id: its name.
        schedule: cron, UTC; None: only on request.
        tasks: its steps, in order.
        alone: whether only one run of it may be at work in a home and system, as its tasks share files.
    """

    id: str
    schedule: str | None
    tasks: tuple[Task, ...]
    alone: bool = False


@dataclass(frozen=True, slots=True)
class TaskReport:
    """What became of a task.

    Its status is ``success``; ``cached``, where all that it would have done was done before and holds; ``skipped``,
    where there was nothing to do; or ``failed``, with a sentence.
    """

    name: str
    status: str
    seconds: float
    result: Result = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RunReport:
    """What became of a run.

    Attributes:
        run_id: a UUIDv7.
        graph: which pipeline.
        system: of which system; systems of one home share the folder of reports.
        started_at: UTC, ISO 8601.
        tasks: what became of each, in order, up to one that failed.
    """

    run_id: str
    graph: str
    system: str
    started_at: str
    tasks: tuple[TaskReport, ...]

    @property
    def results(self) -> dict[str, Result]:
        """The results of the tasks that did not fail, by name."""
        return {task.name: task.result for task in self.tasks if task.status != "failed"}

    @property
    def seconds(self) -> float:
        """Wall time of all tasks."""
        return sum(task.seconds for task in self.tasks)

    @property
    def cached(self) -> bool:
        """Whether nothing was done, as all of it was done before and holds."""
        return all(task.status in ("cached", "skipped") for task in self.tasks)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {**asdict(self), "seconds": self.seconds}


def run_graph(graph: Graph, workspace: Workspace) -> RunReport:
    """Carry out *graph* and return what became of each task; the report is kept among the home's reports.

    Raises:
        OritaError: a task failed; the report of the run up to it is kept too, as it is of what a library raises.
        UserError: another run of a graph that must be alone is at work.
    """
    with workspace.alone(graph.id) if graph.alone else nullcontext():
        return _run(graph, workspace)


def _run(graph: Graph, workspace: Workspace) -> RunReport:
    started = workspace.clock.now()
    run_id = uuid7(workspace.clock)
    done: list[TaskReport] = []
    results: dict[str, Result] = {}

    def report() -> RunReport:
        return RunReport(run_id, graph.id, workspace.system.name, started.isoformat(), tuple(done))

    for task in graph.tasks:
        begun = workspace.clock.monotonic()
        try:
            result = task.body(workspace, results)
        except Exception as error:  # also what a library raises: the report says where the run ended
            told = str(error) if isinstance(error, OritaError) else f"{type(error).__name__}: {error}"
            done.append(TaskReport(task.name, "failed", workspace.clock.monotonic() - begun, error=told))
            _keep(report(), workspace)
            raise
        results[task.name] = result
        done.append(TaskReport(task.name, _status(result), workspace.clock.monotonic() - begun, result))
    whole = report()
    _keep(whole, workspace)
    return whole


def _status(result: Result) -> str:
    if "skipped" in result:
        return "skipped"
    steps = result.get("steps", ())
    cached = bool(steps) and all(step["status"] == "cached" for step in steps)
    return "cached" if result.get("cached", cached) else "success"


def _keep(report: RunReport, workspace: Workspace) -> Path:
    path = workspace.home.reports / "runs" / report.graph / f"{report.run_id}.json"
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(report.to_dict(), indent=2, default=str))
    return path
