"""A component of a user's own is written as the documentation says, and becomes part of a graph."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.pipelines.components.small_training import trained_part

from orita.pipelines.components.artifact import Made
from orita.pipelines.components.task import artifacts_of, component_task
from orita.pipelines.graph import Graph, run_graph
from orita.pipelines.workspace import Workspace
from orita.testing.components import check_component

DOCUMENT = Path(__file__).parents[3] / "docs" / "pipelines.md"


def row_count() -> Any:
    """Return the component of the documentation."""
    (text,) = re.findall(r"```python\n(class RowCount:.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {"Made": Made}
    exec(text, names)
    return names["RowCount"]


def test_the_documented_component_is_one(own: Workspace) -> None:
    """It passes the check that ours pass."""
    make = row_count()
    check_component(make, own, artifacts_of(run_graph(trained_part(), own).results))


def test_it_becomes_part_of_a_graph(own: Workspace) -> None:
    """Behind a task of ours it finds its input, and a second run finds its result."""
    make = row_count()
    own_task = component_task("count", lambda _: (make(),), lambda w, a: {"rows": a["count"].path(w.home).read_text()})
    graph = Graph("mine", None, (trained_part().tasks[0], own_task))
    first, second = run_graph(graph, own), run_graph(graph, own)
    assert [task.status for task in first.tasks] == ["cached", "success"]
    assert second.cached
    told = second.results["load_features"]["rows"]["train"]
    assert second.results["count"]["rows"] == str(told)
