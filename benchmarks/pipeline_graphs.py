"""The graph that `benchmarks.pipeline` carries out; processes of their own import it from here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orita.pipelines.graph import Graph, Result, Task
from orita.pipelines.workspace import Workspace
from orita.project import open_project

__all__ = ["noop_graph", "nothing", "reopened", "workspace_in"]

_TASKS = 100


def workspace_in(home: Path) -> Workspace:
    """Return surroundings whose home is a folder."""
    return open_project(home, home=home).workspace()


def reopened(folder: str) -> tuple[Graph, Workspace]:
    """Return what a process of its own carries out."""
    return noop_graph(_TASKS), workspace_in(Path(folder))


def noop_graph(tasks: int) -> Graph:
    """Return a chain of tasks that do nothing."""
    return Graph("noop", None, tuple(Task(f"t{number}", nothing) for number in range(tasks)))


def nothing(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Do nothing."""
    return {}
