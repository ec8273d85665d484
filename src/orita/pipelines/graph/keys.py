"""What decides a result, in a digest: of one task, for the cache, and of a whole run, for going on with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orita.core.version import VERSION
from orita.pipelines.components.artifact import digest_of
from orita.pipelines.graph.declaration import Graph, Result, Task
from orita.pipelines.workspace import Workspace

__all__ = ["fingerprint", "task_key"]


def fingerprint(graph: Graph, workspace: Workspace) -> str:
    """Return a digest of Orita's version, the project's code and configuration, the files to ingest, the subject."""
    configured = [part.model_dump(mode="json") for part in (workspace.data, workspace.model, workspace.monitoring)]
    return digest_of([VERSION, workspace.code, configured, _source_signs(workspace), graph.subject])


def task_key(graph: Graph, task: Task, workspace: Workspace, results: Mapping[str, Result], whole: str) -> str:
    """Return the key under which the result of *task* is found again; *whole* is the fingerprint of the workspace.

    Raises:
        TypeError: its inputs are no plain JSON.
    """
    assert task.cache is not None
    inputs: Any = [whole, dict(results)]
    if task.cache.inputs is not None:
        inputs = task.cache.inputs(workspace, results)
    return digest_of([graph.id, task.name, task.cache.version, VERSION, workspace.code, inputs])


def _source_signs(workspace: Workspace) -> dict[str, Any] | None:
    """Return sizes and times of the files to ingest, None where there are none."""
    source = workspace.source
    if source is None:
        return None
    files = sorted(each for each in source.rglob("*") if each.is_file()) if source.is_dir() else [source]
    stats = {str(file): file.stat() for file in files if file.exists()}
    return {name: [found.st_size, found.st_mtime_ns] for name, found in stats.items()}
