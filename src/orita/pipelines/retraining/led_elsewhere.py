"""Runs of other pipelines that another scheduler led for a retraining: their results are taken over, nothing is run."""

from __future__ import annotations

from contextlib import closing

from orita.core.errors import UserError
from orita.pipelines.graph import Result
from orita.pipelines.graph.journal import open_journal
from orita.pipelines.workspace import Workspace

__all__ = ["led_elsewhere"]

_RUNS = {"trigger_etl_dag": "etl_and_feature_engineering", "trigger_training_dag": "model_training"}


def led_elsewhere(workspace: Workspace, task: str, run_id: str) -> tuple[dict[str, Result], bool]:
    """Return the results of a run of the graph that *task* runs, and whether nothing was done in it.

    Raises:
        UserError: there is no such run, or it is of another graph, or it has not ended well.
    """
    graph = _RUNS[task]
    with closing(open_journal(workspace.home, workspace.system.name, workspace.clock)) as journal:
        row = journal.run(run_id)
        if row is None or row.graph != graph or row.status != "success":
            found = "is not known" if row is None else f"is one of {row.graph}, and its status is {row.status!r}"
            raise UserError(
                f"--done-by {run_id}: the run {found}; task {task!r} needs one of {graph} that ended well. "
                "'orita runs list' shows the last ones."
            )
        tasks = journal.tasks(run_id)
    cached = all(row.status in ("cached", "skipped") for row in tasks.values())
    return {name: row.result for name, row in tasks.items()}, cached
