"""The pipelines by name, as the command line and schedulers call them.

What a pipeline is made of is imported when it is asked for: monitoring needs SciPy, which takes a second.
"""

from __future__ import annotations

from dataclasses import replace

from orita.core.errors import NotFound, UserError, closest
from orita.pipelines.components.explain import Forecast, explain
from orita.pipelines.graph import Graph, RunOptions, RunReport, TaskReport, run_graph, run_task
from orita.pipelines.workspace import Workspace

__all__ = ["GRAPHS", "PIPELINES", "explain_pipeline", "pipeline_graph", "run_pipeline", "run_pipeline_task"]

GRAPHS = {
    "etl": "etl_and_feature_engineering",
    "training": "model_training",
    "monitoring": "monitoring_and_drift_detection",
    "retraining": "automated_retraining",
}
"""The id of the graph of each pipeline that is one graph."""
PIPELINES = (*GRAPHS, "all")
_RUN_OTHERS = ("trigger_etl_dag", "trigger_training_dag")
_NOT_EXPLAINED = {
    "monitoring": "looks at what was served when it runs, so nothing can be foretold: 'orita run monitoring' does it, "
    "and changes no model.",
    "retraining": "decides whether a trigger asks when it runs: 'orita run etl --explain' and 'orita run training "
    "--explain' say what it would do then, and 'orita status' names the latest report, whose triggers it reads.",
}


def run_pipeline(
    name: str, workspace: Workspace, *, force: bool = False, options: RunOptions | None = None
) -> list[RunReport]:
    """Run the pipeline *name* and return a report for each graph in it.

    Args:
        name: ``etl``, ``training``, ``monitoring``, ``retraining``, or ``all``: etl, training, and the promotion of
            the new model where nothing serves yet or it is better than what does.
        workspace: the surroundings.
        force: ``retraining`` retrains whatever the triggers say.
        options: how; None: in this process, once, from the beginning.

    Raises:
        NotFound: there is no such pipeline.
        UserError: a start in the middle is asked of a pipeline of several graphs.
    """
    options = options or RunOptions()
    if name != "all":
        return [_run(name, workspace, options, force=force)]
    if options.start_at is not None:
        raise UserError(f"--from {options.start_at}: 'all' is several graphs; run etl or training from a task.")
    reports = [_run("etl", workspace, options), _run("training", workspace, options)]
    version = reports[-1].results["register_model"]["version"]
    return [*reports, _run("promotion", workspace, options, version=version)]


def run_pipeline_task(
    name: str,
    task: str,
    run_id: str,
    workspace: Workspace,
    *,
    force: bool = False,
    version: str = "",
    done_by: str | None = None,
    options: RunOptions | None = None,
) -> TaskReport:
    """Carry out one task of a pipeline for a run that another scheduler leads; see `orita.pipelines.graph.run_task`.

    Args:
        name: which pipeline, as `pipeline_graph` knows it.
        task: which task of it.
        run_id: of which run.
        workspace: the surroundings.
        force: ``retraining`` retrains whatever the triggers say.
        version: which model ``promotion`` is about.
        done_by: for a task of ``retraining`` that runs another graph: the run in which the other scheduler did it.
        options: how.

    Raises:
        NotFound: there is no such pipeline of one graph.
        UserError: the task follows one that has not ended well in this run; or *done_by* is not for this task.
    """
    if done_by is not None and (name not in ("retraining", GRAPHS["retraining"]) or task not in _RUN_OTHERS):
        raise UserError(
            f"--done-by {done_by}: task {task!r} of {name} runs no other pipeline. It is for "
            f"{' and '.join(_RUN_OTHERS)} of retraining; leave it out."
        )
    graph = pipeline_graph(name, workspace, force=force, version=version, done_by=done_by)
    return run_task(graph, workspace, task, run_id, options or RunOptions())


def pipeline_graph(
    name: str, workspace: Workspace, *, force: bool = False, version: str = "", done_by: str | None = None
) -> Graph:
    """Return the graph of a pipeline.

    Args:
        name: ``etl``, ``training``, ``monitoring``, ``retraining``, or the id of one of these graphs; ``promotion``.
        workspace: the surroundings.
        force: ``retraining`` retrains whatever the triggers say.
        version: which model ``promotion`` is about.
        done_by: the run in which another scheduler did what a task of ``retraining`` would run.

    Raises:
        NotFound: there is no such pipeline, or it is several graphs.
    """
    short = {id_: each for each, id_ in GRAPHS.items()}.get(name, name)
    match short:
        case "etl":
            from orita.pipelines.etl import etl_graph

            return etl_graph(workspace)
        case "training":
            from orita.pipelines.training import training_graph

            return training_graph()
        case "monitoring":
            from orita.pipelines.monitoring import monitoring_graph

            return monitoring_graph()
        case "retraining":
            from orita.pipelines.retraining.graph import retraining_graph

            return retraining_graph(force=force, done_by=done_by)
        case "promotion":
            from orita.pipelines.promotion import promotion_graph

            return promotion_graph(version)
        case _:
            raise NotFound(f"pipeline {name!r} does not exist. {closest(name, PIPELINES)}")


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
    for part in ("etl", "training") if name == "all" else (name,):
        graph = pipeline_graph(part, workspace)
        found[graph.id] = explain(graph, workspace, after=after)
        changes = any(forecast.status != "cached" for forecast in found[graph.id])
        after = graph.id if changes else None
    return found


def _run(name: str, workspace: Workspace, options: RunOptions, *, force: bool = False, version: str = "") -> RunReport:
    graph = pipeline_graph(name, workspace, force=force, version=version)
    if options.origin is not None:
        given = {**options.origin.arguments, "pipeline": name, "force": force, "version": version}
        options = replace(options, origin=replace(options.origin, arguments=given))
    return run_graph(graph, workspace, options)
