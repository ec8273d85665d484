"""What became of a run, and of each of its tasks; a report is kept among the home's reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orita.core.files import atomic_file
from orita.pipelines.graph.declaration import Result
from orita.pipelines.workspace import Workspace

__all__ = ["RunReport", "TaskReport", "keep_report", "status_of"]


@dataclass(frozen=True, slots=True)
class TaskReport:
    """What became of a task.

    Its status is ``success``; ``cached``, where all that it would have done was done before and holds; ``skipped``,
    where there was nothing to do; ``failed``, with a sentence; or ``cancelled``.
    """

    name: str
    status: str
    seconds: float
    result: Result = field(default_factory=dict)
    error: str | None = None
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class RunReport:
    """What became of a run.

    Attributes:
        run_id: a UUIDv7, or what whoever began it from outside calls it.
        graph: which pipeline.
        system: of which system; systems of one home share the folder of reports.
        started_at: UTC, ISO 8601.
        tasks: what became of each, in order, up to one that failed.
        resumed: whether an earlier process had begun it.
    """

    run_id: str
    graph: str
    system: str
    started_at: str
    tasks: tuple[TaskReport, ...]
    resumed: bool = False

    @property
    def results(self) -> dict[str, Result]:
        """The results of the tasks that ended well, by name."""
        return {task.name: task.result for task in self.tasks if task.status in ("success", "cached", "skipped")}

    @property
    def seconds(self) -> float:
        """Wall time of all tasks, added up."""
        return sum(task.seconds for task in self.tasks)

    @property
    def cached(self) -> bool:
        """Whether nothing was done, as all of it was done before and holds."""
        return all(task.status in ("cached", "skipped") for task in self.tasks)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {**asdict(self), "seconds": self.seconds}


def status_of(result: Mapping[str, Any]) -> str:
    """Return how a task that returned *result* ended: ``skipped``, ``cached`` or ``success``."""
    if "skipped" in result:
        return "skipped"
    steps = result.get("steps", ())
    cached = bool(steps) and all(step["status"] == "cached" for step in steps)
    return "cached" if result.get("cached", cached) else "success"


def keep_report(report: RunReport, workspace: Workspace) -> Path:
    """Write the report below ``reports/<tenant>/runs/`` and return where."""
    path = workspace.home.reports / "runs" / report.graph / f"{report.run_id}.json"
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(report.to_dict(), indent=2, default=str))
    return path
