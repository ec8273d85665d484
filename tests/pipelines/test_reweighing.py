"""A model with several heads by the command line: trained, judged, and weighed anew without a training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.small_world import orita_inside, told

from orita.models.graph import MODEL_FILE
from orita.models.package import load_package

HEADS = (
    "--set=beside=[]",
    "--set=model.heads={like: {weight: 0.5}, share: {}, dwell: {cap: 120}}",
    "--set=model.calibration=isotonic",
    "--set=model.objective={click: 1, like: 0.3}",
    "--set=evaluation.resamples=20",
)
SMALLER = ("--set=data_generation.num_interactions=6000", "--set=training.epochs=1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained model of four heads, v1.1.0."""
    made = tmp_path_factory.mktemp("heads")
    orita_inside(made, *SMALLER, "run", "etl")
    orita_inside(made, *SMALLER, *HEADS, "train")
    return made


def test_training_judges_every_head_and_draws_what_weights_give_up(folder: Path) -> None:
    """The evaluation has the figures of the label as of any model, those of each head, and the curves of each pair."""
    file = min(folder.rglob("evaluation.json"), key=lambda each: each.stat().st_mtime)  # of the first training
    content = json.loads(file.read_text())
    found = content["objectives"]
    assert found["objective"] == {"click": 1.0, "like": 0.3}
    assert [head["name"] for head in found["heads"]] == ["click", "like", "share", "dwell"]
    assert len(found["trade_offs"]) == 6
    auc = content["models"]["two_tower"]["test"]["metrics"]["auc"]
    assert found["heads"][0]["auc"] == pytest.approx(auc)
    assert "Several objectives" in file.with_name("report.html").read_text()


def test_evaluate_tells_of_every_head(folder: Path) -> None:
    """`orita evaluate` shows the figures of each head, and in JSON the curves too, for any version."""
    found = told(folder, *SMALLER, "--set=evaluation.resamples=20", "evaluate", "v1.1.0")
    assert [head["name"] for head in found["objectives"]["heads"]] == ["click", "like", "share", "dwell"]
    assert found["objectives"]["heads"][0]["auc"] == pytest.approx(found["metrics"]["auc"])
    assert "Heads, which the score weighs" in orita_inside(
        folder, *SMALLER, "--set=evaluation.resamples=20", "evaluate", "v1.1.0"
    )


def test_another_objective_is_a_new_version_of_the_same_graph(folder: Path) -> None:
    """New weights make a challenger whose graph is its parent's to the byte; the same again changes nothing."""
    before = told(folder, *SMALLER, "models", "show", "v1.1.0")
    made = told(folder, *SMALLER, "models", "objective", "v1.1.0", "--weights", "click=1,share=4,dwell=0.02")
    version = made["version"]
    assert version != "v1.1.0"
    assert (made["parent"], made["new"]) == ("v1.1.0", True)
    assert made["objective"]["after"] == {"click": 1.0, "dwell": 0.02, "share": 4.0}
    assert set(made["brings"]) == {"click", "like", "share", "dwell"}
    entry = told(folder, *SMALLER, "models", "show", "challenger")
    assert entry["version"] == version
    assert entry["tags"]["orita.parent"] == "v1.1.0"
    assert entry["metrics"]["auc"] == before["metrics"]["auc"]
    old, new = (load_package(Path(each["package"])) for each in (before, entry))
    assert (new.folder / MODEL_FILE).read_bytes() == (old.folder / MODEL_FILE).read_bytes()
    assert old.description.objective == {"click": 1.0, "like": 0.3}
    assert new.metadata.model_id != old.metadata.model_id, "another score is another model"
    again = told(folder, *SMALLER, "models", "objective", "v1.1.0", "--weights", "click=1,share=4,dwell=0.02")
    assert (again["version"], again["new"]) == (version, False)
    weights = "like=0,share=4,click=1,dwell=0.02"  # no weight is a weight of 0
    again = told(folder, *SMALLER, "models", "objective", "v1.1.0", "--weights", weights)
    assert (again["version"], again["new"]) == (version, False)
    own = told(folder, *SMALLER, "models", "objective", "v1.1.0", "--weights", "click=1,like=0.3")
    assert (own["version"], own["new"]) == ("v1.1.0", False), "what it weighs already makes no other version"
    shown = told(folder, *SMALLER, "models", "objective", "challenger")
    assert {head["name"]: head["weight"] for head in shown["heads"]}["share"] == 4.0
    (reference,) = folder.rglob(f"references/feed/{version}.parquet")
    expected, kept = (reference.with_name(f"{each}.schema.json") for each in ("v1.1.0", version))
    assert kept.read_bytes() == expected.read_bytes(), "the rows that it was trained on are its parent's"


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ("click=1,lke=2", "weighs 'lke', which is no head of the model. Did you mean 'like'"),
        ("click=1,like", "--weights has the part 'like'"),
        ("click=1,click=2", "--weights names 'click' twice"),
        ("click=0", "a weight other than 0"),
        ("click=nan", "gives 'click' the weight nan"),
    ],
)
def test_weights_that_cannot_be_leave_everything_as_it_was(folder: Path, weights: str, sentence: str) -> None:
    """What is wrong with the weights is one sentence, exit code 2, and no version more."""
    count = len(told(folder, *SMALLER, "models", "list")["models"])
    assert sentence in orita_inside(folder, *SMALLER, "models", "objective", "v1.1.0", "--weights", weights, code=2)
    assert len(told(folder, *SMALLER, "models", "list")["models"]) == count


def test_a_reason_without_weights_is_refused(folder: Path) -> None:
    """Who gives a reason means to change something: the sentence says what is missing."""
    said = orita_inside(folder, *SMALLER, "models", "objective", "v1.1.0", "--reason", "more conversation", code=2)
    assert "--reason is given without --weights" in said


def test_types_with_one_head_are_refused_before_anything_is_trained(folder: Path) -> None:
    """Heads beside a type that cannot have them stop the command with the types that can."""
    said = orita_inside(folder, *SMALLER, "--set=model.heads={like: {}}", "train", code=2)
    assert "'beside'" in said
    assert "lightgbm, popularity has not; name types among two_tower, deep_mlp" in said
    said = orita_inside(folder, *SMALLER, *HEADS[:2], "train", "--type", "lightgbm", code=2)
    assert "the type lightgbm has one head" in said


def test_a_head_that_the_rows_do_not_have_is_refused_by_name(folder: Path) -> None:
    """A head for an outcome that the system does not declare names those that there are."""
    said = orita_inside(folder, *SMALLER, "--set=beside=[]", "--set=model.heads={comment: {}}", "train", code=2)
    assert "'comment', which is neither the label nor an outcome" in said
    assert "share" in said


def test_another_objective_in_the_configuration_trains_nothing(folder: Path) -> None:
    """`orita train` finds the training, and registers its graph under the weights of now, as another version."""
    weights = "--set=model.objective={click: 1, dwell: 0.02}"
    (run,) = told(folder, *SMALLER, *HEADS, weights, "run", "training")["runs"]
    steps = {step["component"]: step for task in run["tasks"] for step in task["result"]["steps"]}
    assert [name for name, step in steps.items() if step["status"] != "cached"] == [
        *("packager.two_tower", "evaluator", "recorder", "registrar")
    ]
    entry = told(folder, *SMALLER, "models", "show", steps["registrar"]["outputs"]["version"]["facts"]["version"])
    before = told(folder, *SMALLER, "models", "show", "v1.1.0")
    old, new = (load_package(Path(each["package"])) for each in (before, entry))
    assert (new.folder / MODEL_FILE).read_bytes() == (old.folder / MODEL_FILE).read_bytes()
    assert new.description.objective == {"click": 1.0, "dwell": 0.02}
    assert entry["metrics"]["auc"] == before["metrics"]["auc"]
    assert (entry["aliases"], entry["mlflow_run_id"] != before["mlflow_run_id"]) == (["challenger"], True)
    said = orita_inside(folder, *SMALLER, *HEADS, "--set=model.objective={click: 1, lke: 2}", "train", code=2)
    assert "model.objective weighs 'lke'" in said


def test_int8_weights_stay_int8_under_another_objective(folder: Path) -> None:
    """The version says that its weights are int8, and is not offered to be made so again."""
    int8 = told(folder, *SMALLER, "models", "quantise", "v1.1.0", "--max-auc-loss", "1")["version"]
    made = told(folder, *SMALLER, "models", "objective", int8, "--weights", "share=1")["version"]
    assert told(folder, *SMALLER, "models", "show", made)["tags"]["orita.weights"] == "int8"
    said = orita_inside(folder, *SMALLER, "models", "quantise", made, code=2)
    assert "has int8 weights already" in said


def test_an_unsigned_parent_is_refused_where_signatures_are_required(folder: Path) -> None:
    """The new version would be signed here: what nobody who is trusted signed gets no signature that way."""
    (folder / "orita.yaml").write_text("system: feed\nregistry:\n  require_signature: true\n")
    try:
        refused = orita_inside(folder, *SMALLER, "models", "objective", "v1.1.0", "--weights", "click=2,like=1", code=2)
    finally:
        (folder / "orita.yaml").unlink()
    assert "a signature is required" in refused
