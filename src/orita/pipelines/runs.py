"""The pipelines by name, as the command line and schedulers call them."""

from __future__ import annotations

from orita.core.errors import NotFound, closest
from orita.pipelines.etl import etl_graph
from orita.pipelines.graph import Graph, RunReport, Task, run_graph
from orita.pipelines.monitoring import monitoring_graph
from orita.pipelines.retraining import compare_with_production, promote_if_better, retraining_graph
from orita.pipelines.training import training_graph
from orita.pipelines.workspace import Workspace

__all__ = ["PIPELINES", "run_pipeline"]

PIPELINES = ("etl", "training", "monitoring", "retraining", "all")


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
    match name:
        case "etl":
            return [run_graph(etl_graph(workspace), workspace)]
        case "training":
            return [run_graph(training_graph(), workspace)]
        case "monitoring":
            return [run_graph(monitoring_graph(), workspace)]
        case "retraining":
            return [run_graph(retraining_graph(force=force), workspace)]
        case "all":
            etl = run_graph(etl_graph(workspace), workspace)
            training = run_graph(training_graph(), workspace)
            return [etl, training, run_graph(_promotion(training), workspace)]
        case _:
            raise NotFound(f"pipeline {name!r} does not exist. {closest(name, PIPELINES)}")


def _promotion(training: RunReport) -> Graph:
    """Return the end of a retraining, for a model that was just trained."""
    version = training.results["register_model"]["version"]
    earlier = {"fetch_recent_data": {}, "trigger_training_dag": {"version": version}}
    return Graph(
        "promotion",
        None,
        (
            Task(
                "compare_with_production",
                lambda w, results: compare_with_production(w, {**earlier, **results}),
            ),
            Task("promote_if_better", lambda w, results: promote_if_better(w, {**earlier, **results})),
        ),
    )
