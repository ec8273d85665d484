"""The DAGs in a real Airflow: they make what `orita run` makes, and the loop closes through them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.dags.airflow_here import standalone

from orita.pipelines.runs import GRAPHS
from orita.project import scaffold

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1700)]

_DATA = """
data_generation: {num_users: 300, num_items: 400, num_interactions: 20000}
split: {train: 0.7, val: 0.15, test: 0.15, method: temporal}
"""
_MONITORING = """
drift_detection: {feature_drift: {method: calibrated}, prediction_drift: {method: calibrated}}
retraining_triggers: {feature_drift: true, performance_degradation: true, scheduled: null, min_hours_between: 0}
"""
_OF_THE_HOME = ("events", "model.lightgbm", "evaluation", "runs", "version")
_TASKS = {
    "etl": ("generate_data", "validate_data", "compute_features", "create_train_val_test_splits", "save_features"),
    "training": ("load_features", "train_model", "evaluate_model", "log_to_mlflow", "register_model"),
}


def _project(folder: Path, trees: int) -> Path:
    """Return a project on a small world, which trains so many trees."""
    if not folder.exists():
        scaffold(folder, "feed")
    (folder / "data_config.yaml").write_text(_DATA)
    (folder / "monitoring_config.yaml").write_text(_MONITORING)
    _trains(folder, trees)
    return folder


def _trains(project: Path, trees: int) -> None:
    model = {"type": "lightgbm", "lightgbm": {"max_trees": trees, "threads": 1, "learning_rate": 0.05}}
    (project / "model_config.yaml").write_text(json.dumps({"beside": [], "model": model}))


def _orita(project: Path, *arguments: str) -> dict[str, Any]:
    """Run a command in a project, and return its result."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORITA_")}
    command = [sys.executable, "-m", "orita", "--quiet", *arguments, "--json"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _made(project: Path, run: str) -> dict[str, dict[str, str]]:
    """Return by task the digests of what a run made, but for what holds ids, times or file names of its own home."""
    found = {each["task"]: each["made"] for each in _orita(project, "runs", "show", run)["results"]}
    return {task: {name: made[name] for name in made if name not in _OF_THE_HOME} for task, made in found.items()}


def _model(project: Path) -> tuple[dict[str, float], bytes]:
    """Return the figures and the graph of the first model."""
    shown = _orita(project, "models", "show", "challenger")
    return shown["metrics"], (Path(shown["package"]) / "model.onnx").read_bytes()


def _champion(project: Path) -> str:
    (found,) = [each for each in _orita(project, "models", "list")["models"] if "champion" in each["aliases"]]
    version: str = found["version"]
    return version


@contextmanager
def _serving(project: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "orita", "--quiet", "serve", "--port", "0", "--json"]
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["address"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        assert process.stdout is not None
        process.stdout.close()


def _ask(address: str, requests: int, device: str | None) -> None:
    """Let users ask for predictions: all from one device, or, without one, from each in turn."""
    for number in range(requests):
        asked = {
            "user_id": number * 7 % 300,
            "item_ids": [(number * 13 + 17 * each) % 400 for each in range(5)],
            "context": {"device": device or ("mobile", "desktop", "tablet")[number % 3]},
        }
        body = json.dumps(asked).encode()
        request = urllib.request.Request(f"{address}/predict", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()


def test_the_dags_close_the_loop(tmp_path: Path) -> None:
    """ETL starts training by its asset and makes what `orita run` makes; drift starts a retraining, whose better model
    is promoted and whose worse one is not; each retraining trains once."""
    project, beside = _project(tmp_path / "led", trees=1), _project(tmp_path / "beside", trees=1)
    home = tmp_path / "airflow"
    home.mkdir()
    with standalone(home, project) as airflow:
        assert airflow.dags(5) == {*GRAPHS.values(), "ml_pipeline"}
        assert airflow.ask("/importErrors")["total_entries"] == 0

        airflow.ask("/dags/model_training", "PATCH", {"is_paused": False})
        etl = airflow.unpause("etl_and_feature_engineering")
        assert set(airflow.ended("etl_and_feature_engineering", etl).values()) == {"success"}
        training = airflow.unpause("model_training")
        assert training.startswith("asset_triggered__")
        airflow.ended("model_training", training)
        for pipeline, run in (("etl", etl), ("training", training)):
            (report,) = _orita(beside, "run", pipeline)["runs"]
            made = _made(project, f"{pipeline}.{run}")
            assert made == _made(beside, report["run_id"])
            assert tuple(made) == _TASKS[pipeline]
        assert _model(project) == _model(beside)
        found = _orita(project, "run", "all")["runs"]
        assert {task["status"] for run in found[:2] for task in run["tasks"]} == {"cached"}
        quiet = airflow.unpause("automated_retraining")
        tasks = airflow.ended("automated_retraining", quiet)
        assert tasks.pop("check_trigger_conditions") == "success"
        assert set(tasks.values()) == {"skipped"}
        assert _orita(project, "runs", "show", f"retraining.{quiet}")["status"] == "success"

        first = _champion(project)
        with _serving(project) as address:
            _ask(address, 150, None)
            _ask(address, 150, "tablet")
        _trains(project, trees=60)
        watched = airflow.unpause("monitoring_and_drift_detection")
        tasks = airflow.ended("monitoring_and_drift_detection", watched)
        assert tasks["trigger_retraining"] == "success"
        airflow.ended("automated_retraining", f"monitoring__{watched}")
        better = _champion(project)
        assert better != first

        _trains(project, trees=2)
        worse = airflow.begin("automated_retraining", force=True)
        airflow.ended("automated_retraining", worse)
        assert len(airflow.runs("model_training")) == len(airflow.runs("etl_and_feature_engineering"))
        assert len(_orita(project, "models", "list")["models"]) == 3
        assert _champion(project) == better
        runs = {each["run"]: each["status"] for each in _orita(project, "runs", "list", "--last", "50")["runs"]}
        assert runs[f"retraining.{worse}"] == "success"
        airflow.ended("ml_pipeline", airflow.unpause("ml_pipeline"))
    shutil.rmtree(home)
