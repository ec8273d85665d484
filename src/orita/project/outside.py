"""One task of a pipeline as another scheduler calls it: the project is opened, the task done, a summary returned."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from orita.pipelines.graph.journal import open_journal
from orita.pipelines.runs import GRAPHS, run_pipeline_task
from orita.pipelines.workspace import Workspace
from orita.project.opening import open_project

__all__ = ["carry_out_task"]

_REST_OF_RETRAINING = (
    "fetch_recent_data",
    "trigger_etl_dag",
    "trigger_training_dag",
    "evaluate_new_model",
    "compare_with_production",
    "promote_if_better",
)
_TOLD = ("retrain", "reasons", "skipped", "training_set", "best", "version", "metrics", "better", "promoted", "why")


def carry_out_task(
    pipeline: str,
    task: str,
    run_id: str,
    *,
    project: str = "",
    source: str = "",
    force: bool = False,
    version: str = "",
    done_by: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Carry out one task of a run that another scheduler leads, and return what there is to tell, in plain JSON.

    Results pass between tasks through the journal of the home, not through the scheduler. Where retraining finds that
    nothing asks for a new model, its other tasks, which would do nothing, are noted as skipped at once: the run ends.
    Monitoring needs an ETL that ended well: its first task is not begun otherwise, and the status is ``held``.

    Args:
        pipeline: ``etl``, ``training``, ``monitoring``, ``retraining`` or ``promotion``.
        task: which task of it.
        run_id: of which run.
        project: the project's folder; empty: the current one.
        source: data to ingest; empty: the synthetic world.
        force: ``retraining`` retrains whatever the triggers say.
        version: which model ``promotion`` is about.
        done_by: of tasks before this one that run another pipeline: the runs in which the scheduler did that.

    Raises:
        OritaError: the task failed; the sentence says why.
        NotFound: there is no such pipeline or task.
    """
    folder = Path(project) if project else None
    workspace = open_project(folder).workspace(source=Path(source) if source else None)
    if (pipeline, task) == ("monitoring", "load_reference_data") and (why := _no_good_etl(workspace)):
        return {"run": run_id, "task": task, "status": "held", "seconds": 0.0, "why": why}
    for before, done in (done_by or {}).items():
        run_pipeline_task(pipeline, before, run_id, workspace, force=force, done_by=done)
    report = run_pipeline_task(pipeline, task, run_id, workspace, force=force, version=version)
    if task == "check_trigger_conditions" and not report.result["retrain"]:
        for rest in _REST_OF_RETRAINING:
            run_pipeline_task(pipeline, rest, run_id, workspace, force=force)
    told = {name: report.result[name] for name in _TOLD if name in report.result}
    return {"run": run_id, "task": task, "status": report.status, "seconds": round(report.seconds, 3), **told}


def _no_good_etl(workspace: Workspace) -> str:
    """Return why the last ETL is none to rely on, empty where it is.

    One that another scheduler leads and that has no end was given up: whoever asks has waited for those at work.
    """
    with closing(open_journal(workspace.home, workspace.system.name, workspace.clock)) as journal:
        rows = journal.runs(GRAPHS["etl"], most=50)
    last = next((row for row in rows if row.parent is None and (row.ended or row.owner == "outside")), None)
    if last is None:
        return "no etl has run yet, and monitoring needs one."
    ended = "has not ended" if last.ended is None else f"ended as {last.status}"
    return "" if last.status == "success" else f"the last etl, run {last.run_id}, {ended}, and monitoring needs one."
