"""The DAG files declare the contract, read with a stand-in for Airflow that writes down what they say."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.dags.fake_airflow import DAGS, AirflowFailException, AirflowSkipException, Asset, Dag, SmtpNotifier, declared

from orita.pipelines.runs import GRAPHS, pipeline_graph
from orita.project import open_project
from orita.project.outside import _REST_OF_RETRAINING

ETL_RUN = "retraining__{{ run_id }}"


@pytest.fixture
def dags(monkeypatch: pytest.MonkeyPatch) -> dict[str, Dag]:
    """Return the DAGs where Orita has an environment of its own."""
    return declared(monkeypatch, ORITA_PYTHON="/orita/bin/python", ORITA_PROJECT="/project")


@pytest.mark.parametrize("pipeline", GRAPHS)
def test_tasks_and_schedules_are_those_of_the_graphs(pipeline: str, dags: dict[str, Dag], tmp_path: Path) -> None:
    """The same ids, tasks in the same order, and schedule as `orita run` and `orita schedule` have; links beside."""
    graph = pipeline_graph(pipeline, open_project(tmp_path, home=tmp_path).workspace())
    dag = dags[GRAPHS[pipeline]]
    links = {"wait_for_etl", "trigger_retraining"} if pipeline == "monitoring" else set()
    assert [name for name in dag.order() if name not in links] == [task.name for task in graph.tasks]
    assert links <= set(dag.order())
    if pipeline != "training":
        assert dag.options["schedule"] == graph.schedule


def test_the_example_has_its_four_tasks(dags: dict[str, Dag]) -> None:
    """Every day, in this order; what one makes is handed to the next."""
    dag = dags["ml_pipeline"]
    assert dag.order() == ["extract_data", "train_model", "validate_model", "deploy_model"]
    assert dag.options["schedule"] == "@daily"


def test_defaults_are_the_contract(dags: dict[str, Dag], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two retries, five minutes apart, owner ml-team, no catch-up; e-mail on failure only where there is an address."""
    assert set(dags) == {*GRAPHS.values(), "ml_pipeline"}
    expected = {"owner": "ml-team", "retries": 2, "retry_delay": timedelta(minutes=5)}
    for dag in dags.values():
        assert dag.options["default_args"] == expected
        assert dag.options["catchup"] is False and dag.options["max_active_runs"] == 1
    told = {"on_failure_callback": SmtpNotifier(to=["a@x.org", "b@x.org"])}
    (tmp_path / "monitoring_config.yaml").write_text("alerting: {email: 'a@x.org, b@x.org'}\n")
    by_file = declared(monkeypatch, ORITA_PROJECT=str(tmp_path))
    assert by_file["model_training"].options["default_args"] == {**expected, **told}
    given = declared(monkeypatch, ORITA_PROJECT=str(tmp_path), ORITA_ALERTING__EMAIL="null")
    assert given["model_training"].options["default_args"] == expected


def test_etl_starts_training_by_its_asset(dags: dict[str, Dag]) -> None:
    """Only the last task of ETL makes the asset, and nothing else starts training."""
    (asset,) = dags["model_training"].options["schedule"]
    etl = dags["etl_and_feature_engineering"]
    assert {task.task_id: task.options.get("outlets") for task in etl.tasks if "outlets" in task.options} == {
        "save_features": [asset]
    }
    assert isinstance(asset, Asset)


def test_tasks_run_where_orita_is_installed(dags: dict[str, Dag], monkeypatch: pytest.MonkeyPatch) -> None:
    """By the interpreter that ORITA_PYTHON names; without it, in process. A file to ingest is ingested."""
    task = dags["model_training"]["train_model"]
    assert (task.kind, task.options["python"]) == ("external", "/orita/bin/python")
    assert task.options["expect_airflow"] is False
    assert task.args[:4] == ("training", "train_model", "training.{{ run_id }}", "/project")
    within = declared(monkeypatch, ORITA_SOURCE="/data/events.csv")
    first = within["etl_and_feature_engineering"].tasks[0]
    assert (first.task_id, first.kind, first.args[4]) == ("ingest_data", "python", "/data/events.csv")
    kinds = {task.kind for dag in within.values() for task in dag.tasks}
    assert kinds == {"python", "sensor", "trigger"}


def test_drift_starts_a_retraining_once(dags: dict[str, Dag]) -> None:
    """After monitoring, if it asks; a second attempt finds the run that the first began."""
    trigger = dags["monitoring_and_drift_detection"]["trigger_retraining"]
    assert trigger.after == {"generate_alerts"}
    assert trigger.options["trigger_dag_id"] == "automated_retraining"
    assert (
        trigger.options["trigger_run_id"] == "monitoring__{{ run_id }}" and trigger.options["skip_when_already_exists"]
    )
    skip = trigger.options["pre_execute"]
    skip(_context({"generate_alerts": {"retrain": True}}))
    with pytest.raises(AirflowSkipException):
        skip(_context({"generate_alerts": {"retrain": False}}))


def test_a_retraining_runs_etl_and_waits_for_its_training(dags: dict[str, Dag]) -> None:
    """ETL is a run of its DAG; what follows takes over the results of both, and trains nothing."""
    dag = dags["automated_retraining"]
    assert dag.options["params"]["force"].default is False
    assert set(dag.order()[1:]) == set(_REST_OF_RETRAINING)
    etl = dag["trigger_etl_dag"]
    assert (etl.kind, etl.options["trigger_dag_id"]) == ("trigger", "etl_and_feature_engineering")
    assert etl.options["trigger_run_id"] == ETL_RUN and etl.options["wait_for_completion"]
    assert dag["trigger_training_dag"].kind == "sensor" and dag["trigger_training_dag"].args == (ETL_RUN,)
    assert dag["evaluate_new_model"].args[-1] == {
        "trigger_etl_dag": f"etl.{ETL_RUN}",
        "trigger_training_dag": "training.{{ ti.xcom_pull(task_ids='trigger_training_dag') }}",
    }
    due = dag["fetch_recent_data"].options["only_if"]
    assert due(_context({"check_trigger_conditions": {"retrain": True}}))
    assert not due(_context({"check_trigger_conditions": {"retrain": False}}))


@pytest.mark.parametrize(
    ("state", "done"), [("queued", False), ("running", False), ("success", True), (None, False), ("failed", None)]
)
def test_the_training_of_that_etl_is_waited_for(dags: dict[str, Dag], state: str | None, done: bool | None) -> None:
    """Until it has ended well; the training of another ETL does not count; one that failed ends the retraining."""
    asked: list[tuple[str, str]] = []

    def get_dagrun_state(dag: str, run: str) -> str | None:
        asked.append((dag, run))
        return state

    ti = SimpleNamespace(get_dr_count=lambda dag, states: int(state in states), get_dagrun_state=get_dagrun_state)
    mine = _event("retraining__w", "asset_triggered__1") if state else _event("retraining__w")
    events = {sys.modules["orita_dags"].TRAINING_SET: [_event("scheduled__x", "asset_triggered__0"), mine]}
    wait = dags["automated_retraining"]["trigger_training_dag"].options["function"]
    if done is None:
        with pytest.raises(AirflowFailException, match="asset_triggered__1 failed"):
            wait("retraining__w", ti=ti, inlet_events=events)
        return
    found = wait("retraining__w", ti=ti, inlet_events=events)
    assert bool(found.is_done) is done
    assert asked == ([("model_training", "asset_triggered__1")] if state not in (None, "queued") else [])
    if done:
        assert found.xcom_value == "asset_triggered__1"


@pytest.mark.parametrize("at_work", [0, 1])
def test_monitoring_waits_while_an_etl_is_at_work(dags: dict[str, Dag], at_work: int) -> None:
    """Its first task looks whether one runs or waits for its turn."""
    ti = SimpleNamespace(get_dr_count=lambda dag, states: at_work if states == ["queued", "running"] else 0)
    waits = dags["monitoring_and_drift_detection"].tasks[0]
    assert (waits.task_id, waits.kind) == ("wait_for_etl", "sensor")
    assert waits.options["function"](ti=ti).is_done is (at_work == 0)


@pytest.mark.parametrize("within", [True, False])
def test_what_is_held_is_skipped(dags: dict[str, Dag], monkeypatch: pytest.MonkeyPatch, within: bool) -> None:
    """In process by Airflow's exception, in an environment of its own by the exit code that means it."""
    monkeypatch.setattr("orita.project.outside.carry_out_task", lambda *_, **__: {"status": "held", "why": "no etl"})
    task = dags["monitoring_and_drift_detection"]["load_reference_data"]
    assert task.options["skip_on_exit_code"] == 99
    if not within:
        monkeypatch.setitem(sys.modules, "airflow.sdk.exceptions", None)
    with pytest.raises(AirflowSkipException if within else SystemExit, match="no etl" if within else "99"):
        task.options["function"](*task.args)


def test_shared_modules_are_no_dag_files() -> None:
    """Airflow passes over what the DAG files import."""
    shared = {file.name for file in DAGS.glob("orita_*.py")}
    assert shared == set((DAGS / ".airflowignore").read_text().split())


def _context(told: dict[str, Any]) -> dict[str, Any]:
    return {"ti": SimpleNamespace(xcom_pull=lambda task_ids: told[task_ids])}


def _event(etl_run: str, *trainings: str) -> SimpleNamespace:
    begun = [SimpleNamespace(dag_id="model_training", run_id=run) for run in trainings]
    other = SimpleNamespace(dag_id="somebody_elses", run_id="x")
    return SimpleNamespace(source_run_id=etl_run, created_dagruns=[other, *begun])
