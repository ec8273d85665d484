"""The pipelines by name, as the command line and schedulers call them.

What a pipeline is made of is imported when it is asked for: monitoring needs SciPy, which takes a second.
"""

from __future__ import annotations

from orita.core.errors import NotFound, UserError, closest
from orita.pipelines.components.explain import Forecast, explain
from orita.pipelines.graph import Graph, RunReport, run_graph
from orita.pipelines.workspace import Workspace

__all__ = ["PIPELINES", "explain_pipeline", "run_pipeline"]

PIPELINES = ("etl", "training", "monitoring", "retraining", "all")
_NOT_EXPLAINED = {
    "monitoring": "looks at what was served when it runs, so nothing can be foretold: 'orita run monitoring' does it, "
    "and changes no model.",
    "retraining": "decides whether a trigger asks when it runs: 'orita run etl --explain' and 'orita run training "
    "--explain' say what it would do then, and 'orita status' names the latest report, whose triggers it reads.",
}


def run_pipeline(name: str, workspace: Workspace, *, force: bool = False) -> list[RunReport]:
    """Run the pipeline *name* and return a report for each graph in it.

    Args:
        name: ``etl``, ``training``, ``monitoring``, ``retraining``, or ``all``: etl, training, and the promotion of
            the new model where nothing serves yet or it is better than what does.
        workspace: the surroundings.
        force: ``retraining`` retrains whatever the triggers say.

    Raises:
        NotFound: there is no such pipeline.
    """
    if name == "monitoring":
        from orita.pipelines.monitoring import monitoring_graph

        return [run_graph(monitoring_graph(), workspace)]
    if name == "retraining":
        from orita.pipelines.retraining import retraining_graph

        return [run_graph(retraining_graph(force=force), workspace)]
    reports = [run_graph(graph, workspace) for graph in _graphs(name, workspace)]
    if name == "all":
        from orita.pipelines.promotion import promotion_graph

        version = reports[-1].results["register_model"]["version"]
        reports.append(run_graph(promotion_graph(version), workspace))
    return reports


def explain_pipeline(name: str, workspace: Workspace) -> dict[str, list[Forecast]]:
    """Return, by graph, what `run_pipeline` would do with each component, and why; nothing is changed.

    Raises:
        NotFound: there is no such pipeline.
        UserError: it is decided by what is there when it runs; the sentence says what to ask for.
    """
    if name in _NOT_EXPLAINED:
        raise UserError(f"pipeline {name!r} {_NOT_EXPLAINED[name]}")
    found: dict[str, list[Forecast]] = {}
    after: str | None = None
    for graph in _graphs(name, workspace):
        found[graph.id] = explain(graph, workspace, after=after)
        changes = any(forecast.status != "cached" for forecast in found[graph.id])
        after = graph.id if changes else None
    return found


def _graphs(name: str, workspace: Workspace) -> list[Graph]:
    """Return the graphs of a pipeline of components."""
    from orita.pipelines.etl import etl_graph
    from orita.pipelines.training import training_graph

    match name:
        case "etl":
            return [etl_graph(workspace)]
        case "training":
            return [training_graph()]
        case "all":
            return [etl_graph(workspace), training_graph()]
        case _:
            raise NotFound(f"pipeline {name!r} does not exist. {closest(name, PIPELINES)}")
