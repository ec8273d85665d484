"""The four graphs are those of the contract, and a run tells what became of each task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orita.core.errors import UserError
from orita.pipelines.components.artifact import TYPES
from orita.pipelines.components.blessing import Blessing
from orita.pipelines.components.bulk_inference import BulkInference
from orita.pipelines.components.pusher import Pusher
from orita.pipelines.etl import etl_graph
from orita.pipelines.graph import Graph, Task, run_graph
from orita.pipelines.monitoring import monitoring_graph
from orita.pipelines.retraining.graph import retraining_graph
from orita.pipelines.training import training_graph
from orita.project import open_project


def test_ids_tasks_and_schedules_are_the_contract(tmp_path: Path) -> None:
    """Other people's schedules and dashboards rely on these names."""
    project = open_project(tmp_path, home=tmp_path)
    generated, ingested = project.workspace(), project.workspace(source=tmp_path)
    graphs = [etl_graph(generated), etl_graph(ingested), training_graph(), monitoring_graph(), retraining_graph()]
    assert [(graph.id, graph.schedule, [task.name for task in graph.tasks]) for graph in graphs] == [
        (
            "etl_and_feature_engineering",
            "0 2 * * *",
            [first, "validate_data", "compute_features", "create_train_val_test_splits", "save_features"],
        )
        for first in ("generate_data", "ingest_data")
    ] + [
        (
            "model_training",
            None,
            ["load_features", "train_model", "evaluate_model", "log_to_mlflow", "register_model"],
        ),
        (
            "monitoring_and_drift_detection",
            "0 4 * * *",
            [
                "load_reference_data",
                "load_recent_predictions",
                "compute_feature_drift",
                "compute_prediction_drift",
                "evaluate_online_performance",
                "generate_alerts",
            ],
        ),
        (
            "automated_retraining",
            "0 0 * * 0",
            [
                "check_trigger_conditions",
                "fetch_recent_data",
                "trigger_etl_dag",
                "trigger_training_dag",
                "evaluate_new_model",
                "compare_with_production",
                "promote_if_better",
            ],
        ),
    ]


def test_types_of_artifacts_are_those_that_are_listed(tmp_path: Path) -> None:
    """What our components make is of the listed types, each of which one makes; inputs are made by a step before."""
    project = open_project(tmp_path, home=tmp_path)
    workspaces = project.workspace(), project.workspace(source=tmp_path)
    made: dict[str, str] = {}
    for graph in (*map(etl_graph, workspaces), training_graph()):
        for task in graph.tasks:
            for component in task.components(workspaces[0]) if task.components else ():
                assert {name: made.get(name) for name in component.inputs} == component.inputs
                made |= component.outputs
    made |= {**Blessing("v1.1.0").outputs, **Pusher.outputs, **BulkInference.outputs}
    assert set(made.values()) == set(TYPES)


@pytest.mark.parametrize(
    ("raised", "told"),
    [(UserError("no rows: ingest some."), "no rows: ingest some."), (KeyError("no rows"), "KeyError: 'no rows'")],
)
def test_a_failed_task_ends_the_run_and_is_on_record(tmp_path: Path, raised: Exception, told: str) -> None:
    """The run's report names its system, the task that failed and why, also where a library raised; tasks after it do
    not run."""
    ran: list[str] = []

    def fails(*_: object) -> dict[str, object]:
        raise raised

    graph = Graph(
        "g",
        None,
        (
            Task("a", lambda w, r: {"x": 1}),
            Task("b", fails),
            Task("c", lambda w, r: ran.append("c") or {}),  # type: ignore[func-returns-value]
        ),
    )
    workspace = open_project(tmp_path, home=tmp_path).workspace()
    with pytest.raises(type(raised), match="no rows"):
        run_graph(graph, workspace)
    assert ran == []
    (path,) = (workspace.home.reports / "runs" / "g").glob("*.json")
    report = json.loads(path.read_text())
    assert (report["graph"], report["system"]) == ("g", workspace.system.name)
    tasks = report["tasks"]
    assert [(task["name"], task["status"], task["error"]) for task in tasks] == [
        ("a", "success", None),
        ("b", "failed", told),
    ]


def test_the_three_files_of_the_contract_work_as_written(tmp_path: Path) -> None:
    """The configuration of the contract, letter by letter, is read and in force."""
    workspace = open_project(Path(__file__).parent / "contract", home=tmp_path).workspace()
    assert workspace.schema.names == (
        "user_historical_ctr",
        "user_avg_dwell_time",
        "user_interaction_count",
        "item_popularity",
        "item_ctr",
        "item_age_days",
        "hour_of_day",
        "day_of_week",
        "device_mobile",
        "device_desktop",
        "device_tablet",
    )
    assert workspace.model.training.batch_size == 1024
    assert workspace.monitoring.drift_detection.feature_drift.method == "ks_test"
    assert workspace.monitoring.drift_detection.prediction_drift.limit == 0.2
    assert workspace.monitoring.performance_monitoring.latency_p99_threshold_ms == 100
