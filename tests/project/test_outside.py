"""One task of a pipeline as another scheduler calls it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orita.core.errors import NotFound, UserError
from orita.pipelines.graph.journal import RunRow, TaskRow, open_journal
from orita.pipelines.retraining.graph import trigger_etl, trigger_training
from orita.pipelines.runs import run_pipeline_task
from orita.pipelines.workspace import Workspace
from orita.project import open_project
from orita.project.outside import _REST_OF_RETRAINING, carry_out_task

TRAINING, ETL = "model_training", "etl_and_feature_engineering"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return surroundings in which nothing asks for a new model."""
    (tmp_path / "monitoring_config.yaml").write_text("retraining_triggers: {scheduled: null}\n")
    return open_project(tmp_path).workspace()


def _led(workspace: Workspace, run_id: str, graph: str, results: dict[str, dict[str, object]], status: str) -> None:
    """Note a run that another scheduler led."""
    with closing(open_journal(workspace.home, workspace.system.name, workspace.clock)) as journal:
        journal.begin_run(RunRow(run_id, graph, "running", "outside", "", None, "", tuple(results), 0, 0))
        for name, result in results.items():
            journal.end_task(run_id, TaskRow(name, "success", 1, 0, None, 1.0, None, result, None))
        if status != "running":
            journal.end_run(run_id, status, None)


def test_a_retraining_that_nothing_asks_for_ends_at_once(workspace: Workspace) -> None:
    """The first task says so, all others are noted as skipped, and the run has ended well."""
    assert workspace.folder is not None
    told = carry_out_task("retraining", "check_trigger_conditions", "retraining.x", project=str(workspace.folder))
    assert (told["run"], told["task"], told["status"]) == ("retraining.x", "check_trigger_conditions", "success")
    assert (told["retrain"], told["reasons"]) == (False, [])
    with closing(open_journal(workspace.home, workspace.system.name, workspace.clock)) as journal:
        row, tasks = journal.run("retraining.x"), journal.tasks("retraining.x")
    assert row is not None and (row.status, row.owner) == ("success", "outside")
    assert row.tasks == ("check_trigger_conditions", *_REST_OF_RETRAINING)
    assert {tasks[name].status for name in _REST_OF_RETRAINING} == {"skipped"}


def test_what_another_scheduler_did_is_taken_over(workspace: Workspace) -> None:
    """The result is that of the run it led, and nothing is run."""
    _led(workspace, "etl.y", ETL, {"save_features": {"training_set": "t1"}}, "success")
    _led(workspace, "training.y", TRAINING, {"register_model": {"version": "v1.2.0"}}, "success")
    due: dict[str, Any] = {"check_trigger_conditions": {"retrain": True}, "fetch_recent_data": {"rows": 1}}
    etl = trigger_etl(workspace, due, done_by="etl.y")
    assert (etl["run"], etl["training_set"], etl["cached"]) == ("etl.y", "t1", False)
    training = trigger_training(workspace, due | {"trigger_etl_dag": etl}, done_by="training.y")
    assert (training["run"], training["version"], training["cached"]) == ("training.y", "v1.2.0", False)


@pytest.mark.parametrize(
    ("run", "says"),
    [
        ("training.z", "the run is not known; task 'trigger_training_dag' needs one of model_training that ended well"),
        ("etl.y", "the run is one of etl_and_feature_engineering, and its status is 'success'"),
        ("training.y", "the run is one of model_training, and its status is 'failed'"),
    ],
)
def test_only_a_run_of_that_graph_that_ended_well_is_taken_over(workspace: Workspace, run: str, says: str) -> None:
    """Anything else is refused with a sentence that names the run."""
    _led(workspace, "etl.y", ETL, {}, "success")
    _led(workspace, "training.y", TRAINING, {}, "failed")
    with pytest.raises(UserError, match=f"--done-by {run}: {says}"):
        trigger_training(workspace, {"fetch_recent_data": {}}, done_by=run)


@pytest.mark.parametrize(("pipeline", "task"), [("training", "train_model"), ("retraining", "promote_if_better")])
def test_other_tasks_take_nothing_over(workspace: Workspace, pipeline: str, task: str) -> None:
    """Only the two tasks that run another pipeline may be told that it ran."""
    with pytest.raises(UserError, match=f"task '{task}' of {pipeline} runs no other pipeline"):
        run_pipeline_task(pipeline, task, "x", workspace, done_by="training.y")


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (None, "no etl has run yet, and monitoring needs one."),
        ("failed", "the last etl, run etl.y, ended as failed, and monitoring needs one."),
        ("running", "the last etl, run etl.y, has not ended, and monitoring needs one."),
    ],
)
def test_monitoring_is_held_without_a_good_etl(workspace: Workspace, status: str | None, why: str) -> None:
    """Nothing is begun, and the sentence says which ETL it is about."""
    if status:
        _led(workspace, "etl.x", ETL, {}, "success")
        _led(workspace, "etl.y", ETL, {}, status)
    told = carry_out_task("monitoring", "load_reference_data", "monitoring.x", project=str(workspace.folder))
    assert (told["status"], told["why"]) == ("held", why)
    with closing(open_journal(workspace.home, workspace.system.name, workspace.clock)) as journal:
        assert journal.run("monitoring.x") is None


def test_monitoring_begins_after_a_good_etl(workspace: Workspace) -> None:
    """Then it says what is missing next."""
    _led(workspace, "etl.x", ETL, {}, "success")
    with pytest.raises(UserError, match="has no champion yet"):
        carry_out_task("monitoring", "load_reference_data", "monitoring.x", project=str(workspace.folder))


def test_an_unknown_pipeline_is_named(tmp_path: Path) -> None:
    """The sentence lists those there are."""
    with pytest.raises(NotFound, match="pipeline 'trainin' does not exist"):
        carry_out_task("trainin", "train_model", "x", project=str(tmp_path))
