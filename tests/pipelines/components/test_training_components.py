"""A training does again what a change concerns, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.features.small_system import events, ingested
from tests.pipelines.components.small_training import (
    ALL,
    etl_only,
    files_of,
    run_training,
    trained_part,
    with_keys,
)

from orita.core.errors import UserError
from orita.core.progress import SILENT
from orita.features.training_sets.training_set import latest_training_set
from orita.models.calibration import fit_calibration
from orita.models.package import load_package
from orita.pipelines.components.cache import records
from orita.pipelines.components.explain import explain
from orita.pipelines.components.packager import package_folder
from orita.pipelines.components.statistics import Statistics
from orita.pipelines.components.task import artifacts_of
from orita.pipelines.components.training_rows import read_part
from orita.pipelines.graph import run_graph
from orita.pipelines.workspace import Workspace
from orita.testing.components import check_component


def planned(workspace: Workspace) -> dict[str, str]:
    """Return what a run would do with the components that it would not find."""
    return {f.component: f.why for f in explain(trained_part(), workspace) if f.status != "cached"}


def test_a_second_run_does_nothing(trained: Workspace) -> None:
    """Every component of ETL and training is found, and no file of the home changes but the report of the run."""
    before = files_of(trained)
    etl = run_graph(etl_only(trained), trained)
    training = run_graph(trained_part(), trained)
    assert {task.status for task in (*etl.tasks, *training.tasks)} == {"cached"}
    assert etl.cached and training.cached
    assert files_of(trained) == before
    kept = trained.home.reports / "runs" / "model_training" / f"{training.run_id}.json"
    steps = [step for task in json.loads(kept.read_text())["tasks"] for step in task["result"]["steps"]]
    assert [step["component"] for step in steps] == list(ALL)
    assert all(step["status"] == "cached" and len(step["digest"]) == 16 for step in steps)


def test_tasks_may_run_in_processes_of_their_own(trained: Workspace) -> None:
    """What a task hands on is plain JSON, from which the next one finds what it reads."""
    results: dict[str, Any] = {}
    for task in trained_part().tasks:
        results[task.name] = json.loads(json.dumps(task.body(trained, results)))
    assert results["evaluate_model"]["best"] in ("popularity", "lightgbm")


@pytest.mark.parametrize(
    ("keys", "again"),
    [
        ({"monitoring__alerting__email": "someone@example.com"}, []),
        ({"model__training__log_every": 7, "model__training__checkpoint_seconds": 5.0}, []),
        ({"model__training__epochs": 3, "model__model__user_tower_dims": (64,)}, []),
        ({"model__card__intended_use": "Feeds."}, []),
        ({"data__validation__memory_mb": 512}, []),
        ({"model__evaluation__resamples": 30}, ["evaluator"]),
        ({"model__evaluation__metrics": ("auc", "map")}, ["evaluator"]),
        ({"data__expectations__range_factor": 1.0}, ["validator"]),
        ({"model__model__popularity": {"smoothing": 5.0}}, ["trainer.popularity", "packager.popularity", "evaluator"]),
        ({"model__model__calibration": "platt"}, ["packager.popularity", "packager.lightgbm", "evaluator"]),
        ({"model__seed": 1}, [*ALL[4:]]),
        ({"model__beside": ()}, ["evaluator"]),
    ],
)
def test_a_key_concerns_what_it_decides(trained: Workspace, keys: dict[str, object], again: list[str]) -> None:
    """Changing a configuration key carries out again what it decides, and what depends on that."""
    assert list(planned(with_keys(trained, **keys))) == again


def test_figures_without_auc_are_enough(own: Workspace) -> None:
    """AUC on validation rows chooses the best, so it is taken whatever figures are asked for."""
    asked = with_keys(own, model__evaluation__metrics=("log_loss",))
    result = run_graph(trained_part(), asked).results["evaluate_model"]
    best = {type_: parts["val"]["auc"] for type_, parts in result["metrics"].items()}
    assert result["best"] == max(best, key=lambda type_: best[type_])
    assert all(set(parts["test"]) == {"log_loss", "auc"} for parts in result["metrics"].values())


def test_who_runs_it_and_how_it_is_drawn_decide_nothing(trained: Workspace) -> None:
    """Actor, progress and data to ingest are of the run, not of the result."""
    assert planned(replace(trained, actor="ada", progress=SILENT, source=Path("x"))) == {}


def test_a_reason_is_told(trained: Workspace) -> None:
    """What changed stands in the plan, from what to what; what follows from it names the input."""
    section = trained.model.model.lightgbm.model_copy(update={"max_trees": 9})
    plan = planned(with_keys(trained, model__model__lightgbm=section.model_dump()))
    assert plan == {
        "trainer.lightgbm": "model.lightgbm.max_trees changed from 3 to 9",
        "packager.lightgbm": "input trained.lightgbm will be made again",
        "evaluator": "input model.lightgbm will be made again",
    }


def test_explaining_changes_nothing(trained: Workspace) -> None:
    """A plan is made without a file being written."""
    before = files_of(trained)
    planned(with_keys(trained, model__seed=3))
    assert files_of(trained) == before


def test_new_events_train_anew(own: Workspace, tmp_path: Path) -> None:
    """Events that came in make another training set, and so everything after it is made again."""
    ingested(own.home, tmp_path, events(60, start=300), own.system)
    report = run_graph(etl_only(own), own)
    assert report.results["compute_features"]["why"].startswith("input events changed")
    assert run_training(own) == dict.fromkeys(ALL, "success")


def test_the_same_rows_under_another_id_are_the_same_rows(own: Workspace) -> None:
    """A training set that was made again elsewhere, with the same rows, trains nothing."""
    set_ = latest_training_set(own.home.training_sets, own.system.name)
    other = set_.folder.with_name("0123456789abcdef")
    set_.folder.rename(other)
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps({**manifest, "id": other.name}))
    (other.parent / "LATEST").write_text(other.name)
    assert run_training(own) == {**dict.fromkeys(ALL, "cached"), "training_rows": "success"}


@pytest.mark.parametrize("cut", [0, 500])
def test_a_damaged_training_set_is_refused_and_made_again(own: Workspace, cut: int) -> None:
    """Training says which set is damaged and what to do; the ETL does it, and nothing is trained anew then."""
    file = latest_training_set(own.home.training_sets, own.system.name).file("train")
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"training set \w+ in .* are damaged: 'orita run etl' makes it again"):
        run_training(own)
    report = run_graph(etl_only(own), own)
    assert "train.parquet has" in report.results["compute_features"]["why"]
    assert [task.status for task in report.tasks] == ["success"] * 3
    statuses = run_training(own)
    assert {name for name, status in statuses.items() if status != "cached"} <= {"training_rows"}


def test_a_lost_part_is_told(own: Workspace) -> None:
    """A set without one of its files is no training set."""
    latest_training_set(own.home.training_sets, own.system.name).file("val").unlink()
    with pytest.raises(UserError, match="has lost files"):
        run_training(own)


@pytest.mark.parametrize(("artifact", "component"), [("trained", "trainer"), ("model", "packager")])
def test_a_damaged_model_is_made_again(own: Workspace, artifact: str, component: str) -> None:
    """A package that lost or changed a file is made again, and only it; the sentence names the file.

    The same model comes again, so that nothing after it is done.
    """
    models = artifacts_of(run_graph(trained_part(), own).results)
    graph = package_folder(own, models[f"{artifact}.lightgbm"]) / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    assert "model.onnx was changed: made again" in planned(own)[f"{component}.lightgbm"]
    assert {name for name, status in run_training(own).items() if status == "success"} == {f"{component}.lightgbm"}
    load_package(graph.parent).check_sample()


def test_another_calibration_is_another_model_of_the_same_training(own: Workspace) -> None:
    """Nothing is trained: the graph is the same to the byte, its scores are calibrated, and its id is another."""
    calibrated = with_keys(own, model__model__calibration="isotonic")
    before, after = (artifacts_of(run_graph(trained_part(), each).results) for each in (own, calibrated))
    old, new = (load_package(package_folder(own, each["model.lightgbm"])) for each in (before, after))
    assert before["trained.lightgbm"] == after["trained.lightgbm"]
    assert (new.folder / "model.onnx").read_bytes() == (old.folder / "model.onnx").read_bytes()
    assert old.metadata.model_id != new.metadata.model_id
    assert before["model.lightgbm"].facts["draft"] != after["model.lightgbm"].facts["draft"]
    assert [step.to_dict()["method"] for step in new.description.post] == ["isotonic"]
    assert new.extra["model"]["calibration"] == "isotonic"
    rows = read_part(own, after["examples"], "val")
    calibration = fit_calibration("isotonic", rows.y_N, old.score(rows.users_N, rows.items_N, rows.x_NF))
    expected_N = calibration.apply(old.score(rows.users_N, rows.items_N, rows.x_NF))
    np.testing.assert_allclose(new.score(rows.users_N, rows.items_N, rows.x_NF), expected_N, atol=1e-7)


def test_only_the_newest_results_stay(own: Workspace) -> None:
    """Of each component three results are kept, whatever is tried."""
    for smoothing in (1.0, 2.0, 3.0, 4.0):
        run_training(with_keys(own, model__model__popularity={"smoothing": smoothing}))
    assert len(records(own, "trainer.popularity")) == 3
    assert len(records(own, "trainer.lightgbm")) == 1
    assert not list(own.home.checkpoints.rglob("*.*"))


def test_a_trained_model_scores_as_its_own_evaluation_says(trained: Workspace) -> None:
    """The evaluation that is found again is that of the packages that are found again."""
    report = run_graph(trained_part(), trained)
    artifacts = artifacts_of(report.results)
    rows = read_part(trained, artifacts["examples"], "test")
    package = load_package(package_folder(trained, artifacts["model.popularity"]))
    scores_N = package.score(rows.users_N, rows.items_N, rows.x_NF)
    judged = json.loads(Path(report.results["evaluate_model"]["report"]).read_text())["models"]["popularity"]["test"]
    np.testing.assert_allclose(judged["metrics"]["log_loss"], _log_loss(rows.y_N, scores_N), rtol=1e-5)


def _log_loss(y_N: np.ndarray, scores_N: np.ndarray) -> float:
    p_N = np.clip(scores_N.astype(np.float64), 1e-15, 1 - 1e-15)
    return float(-np.mean(y_N * np.log(p_N) + (1 - y_N) * np.log(1 - p_N)))


def test_our_own_components_pass_the_check(own: Workspace) -> None:
    """What is asked of a user's component is asked of ours."""
    made = artifacts_of(run_graph(trained_part(), own).results)
    for record in (own.home.components / own.system.name / "statistics").iterdir():
        for file in record.iterdir():
            file.unlink()
        record.rmdir()
    check_component(Statistics, own, made)
