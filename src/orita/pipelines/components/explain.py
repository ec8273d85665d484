"""What a run would do, and why, without doing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from orita.core.errors import UserError
from orita.pipelines.components.artifact import Artifact
from orita.pipelines.components.cache import given, identity, recall
from orita.pipelines.components.component import Component
from orita.pipelines.graph import Graph
from orita.pipelines.workspace import Workspace

__all__ = ["Forecast", "explain"]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run would do with one component.

    Attributes:
        task, component: which.
        status: ``cached``: nothing; ``runs``: carry it out; ``depends``: that is known once its inputs are made again.
        why: in words.
        inputs: type of each input, by name.
        outputs: type of each output, by name.
        key: digest of what decides the result; empty where it is not known yet.
        digests: of each output that holds.
    """

    task: str
    component: str
    status: Literal["cached", "runs", "depends"]
    why: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    key: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


def explain(graph: Graph, workspace: Workspace, *, after: str | None = None) -> list[Forecast]:
    """Return what a run of *graph* would do with each component; nothing is changed.

    Args:
        graph: which; tasks that are not made of components are left out.
        workspace: its surroundings.
        after: the name of a graph that runs before and makes something new: what is found on disk may be another.
    """
    artifacts: dict[str, Artifact] = {}
    found: list[Forecast] = []
    for task in graph.tasks:
        for component in task.components(workspace) if task.components else ():
            forecast = _forecast(task.name, component, workspace, artifacts, after)
            found.append(forecast)
            if after is None and forecast.status != "cached":
                after = component.name
    return found


def _forecast(
    task: str, component: Component, workspace: Workspace, artifacts: dict[str, Artifact], after: str | None
) -> Forecast:
    """Return what would be done with *component*; what it made before, and holds, is added to *artifacts*.

    A component without inputs looks at what is on disk, which whatever is carried out before it may change: *after*.
    """
    told = (task, component.name)
    shape = (dict(component.inputs), dict(component.outputs))
    if after and not component.inputs:
        return Forecast(*told, "depends", f"{after} may leave something new", *shape)
    unknown = [name for name in component.inputs if name not in artifacts]
    if unknown:
        return Forecast(*told, "depends", f"input {unknown[0]} will be made again", *shape)
    try:
        wanted = identity(component, workspace, given(component, artifacts))
    except UserError as error:  # what it looks for is not there yet; the sentence says so
        return Forecast(*told, "depends", str(error), *shape)
    record, why = recall(component, workspace, wanted)
    if record is None:
        return Forecast(*told, "runs", why, *shape, wanted.key)
    artifacts |= record.outputs
    digests = {name: made.digest for name, made in record.outputs.items()}
    return Forecast(*told, "cached", why, *shape, wanted.key, digests)
