"""How a process of its own finds a project's graph again: by the options that the project was opened with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from orita.pipelines.graph import Graph, Origin
from orita.pipelines.runs import pipeline_graph
from orita.pipelines.workspace import Workspace
from orita.project.opening import open_project
from orita.project.project import Project

__all__ = ["origin_of", "reopened"]


def origin_of(project: Project, *, system: str | None, overrides: Iterable[str], source: Path | None) -> Origin:
    """Return where the graphs of *project* are found again.

    Args:
        project: as it was opened.
        system: the system that was asked for when it was opened; None: that of ``orita.yaml``.
        overrides: those that it was opened with.
        source: data to ingest; None: the synthetic world.
    """
    arguments = {
        "folder": str(project.folder),
        "home": str(project.home.root),
        "system": system,
        "overrides": list(overrides),
        "source": None if source is None else str(source.absolute()),
    }
    return Origin(f"{__name__}:reopened", arguments)


def reopened(
    folder: str,
    home: str,
    system: str | None,
    overrides: list[str],
    source: str | None,
    pipeline: str,
    force: bool,
    version: str,
) -> tuple[Graph, Workspace]:
    """Return the graph of a pipeline and its surroundings; see `origin_of`."""
    project = open_project(Path(folder), home=Path(home), system=system, overrides=overrides)
    workspace = project.workspace(source=None if source is None else Path(source))
    return pipeline_graph(pipeline, workspace, force=force, version=version), workspace
