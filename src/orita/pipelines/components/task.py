"""A task of a graph that is made of components."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from orita.pipelines.components.artifact import Artifact
from orita.pipelines.components.cache import carry_out
from orita.pipelines.components.component import Component
from orita.pipelines.graph import Occurrence, Result, Task
from orita.pipelines.workspace import Workspace

__all__ = ["Components", "Summary", "Tells", "artifacts_of", "component_task"]

Components = Callable[[Workspace], Sequence[Component]]
Summary = Callable[[Workspace, Mapping[str, Artifact]], Result]
Tells = Callable[[Workspace, Mapping[str, Result]], Iterable[Occurrence]]


def component_task(
    name: str, components: Components, summary: Summary | None = None, tells: Tells | None = None
) -> Task:
    """Return a task that carries out components in order.

    Each finds its inputs among what the steps before it made, of this task or of an earlier one: results are plain
    JSON, so that tasks may run in processes of their own.

    Args:
        name: of the task.
        components: what it is made of, given the workspace.
        summary: what the task's result says beside its steps, given all artifacts so far.
        tells: what its end means to those who listen.
    """

    def body(workspace: Workspace, results: Mapping[str, Result]) -> Result:
        artifacts, steps = artifacts_of(results), []
        for component in components(workspace):
            step = carry_out(component, workspace, artifacts)
            artifacts |= step.outputs
            steps.append(step.to_dict())
        told = summary(workspace, artifacts) if summary else {}
        return {**told, "steps": steps}

    return Task(name, body, components, tells=tells)


def artifacts_of(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Artifact]:
    """Return every artifact that the tasks of *results* made, by name."""
    return {
        name: Artifact.from_dict(content)
        for result in results.values()
        for step in result.get("steps", ())
        for name, content in step["outputs"].items()
    }
