"""A ranker of a user's own, as the documentation writes it, goes the whole way."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.features.small_system import DECLARED, events, ingested
from tests.pipelines.components.small_training import etl_only, run_training

from orita.core.errors import UserError
from orita.models.ranker import FitContext
from orita.pipelines.components.decisive import decisive_settings
from orita.pipelines.cross_validating import cross_validated
from orita.pipelines.graph import run_graph
from orita.pipelines.runs import run_pipeline
from orita.pipelines.search_plan import plan_search
from orita.pipelines.tuning import tune
from orita.project import Project, open_project

ROOT = Path(__file__).parents[2]
FILES = {
    "orita.yaml": "system: features.py\n",
    "data_config.yaml": "",
    "monitoring_config.yaml": "",
}
QUICK = ["beside=[]", "evaluation.resamples=20", "evaluation.report=false", "search.trials=2"]

for module in ("sklearn", "onnx", "optuna", "mlflow"):
    pytest.importorskip(module, reason="the extra train is not installed")


def documented() -> dict[str, str]:
    """Return the three blocks of the section: the ranker, the configuration, and the test of it."""
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", page.partition("## A model of your own\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    ranker, test = re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    (config,) = re.findall(r"^```yaml\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return {"features.py": f"{DECLARED}\n{ranker}", "model_config.yaml": config, "test_of_mine.py": test}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of the documented files whose training ran and whose model serves; it is only read."""
    folder = tmp_path_factory.mktemp("own") / "shop"
    folder.mkdir()
    for name, text in (FILES | documented()).items():
        (folder / name).write_text(text, encoding="utf-8")
    workspace = opened(folder).workspace()
    ingested(workspace.home, folder, events(300), workspace.system)
    run_graph(etl_only(workspace), workspace)
    report = run_pipeline("training", workspace)[0]
    version = report.results["register_model"]["version"]
    workspace.catalogue().promote("small", version, actor="test", reason="test")
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """The same as a copy, to be changed."""
    shutil.copytree(trained, tmp_path / "shop")
    return tmp_path / "shop"


def opened(folder: Path, *overrides: str) -> Project:
    """Open the project in *folder*, its home in it."""
    return open_project(folder, home=folder / "home", overrides=[*QUICK, *overrides])


def test_the_documented_ranker_becomes_the_champion(trained: Path) -> None:
    """It is registered and promoted under its name, and run and package say what it was made with."""
    project = opened(trained)
    package = project.package("champion")
    assert package.metadata.model_type == "logistic"
    assert package.extra["model"]["parameters"] == {"logistic": {"C": 0.1}}
    (run,) = project.catalogue().runs.search("small", "")
    assert (run.name, run.params["type"], run.params["C"]) == ("logistic", "logistic", "0.1")


def test_the_documented_test_passes(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ranker keeps the contract, checked by the very lines of the documentation."""
    monkeypatch.setenv("ORITA_HOME", str(trained / "home"))
    monkeypatch.chdir(trained)
    names: dict[str, Any] = {}
    exec((trained / "test_of_mine.py").read_text(), names)
    names["test_logistic"](tmp_path)


def test_a_second_training_finds_it_and_a_change_trains_it_again(folder: Path) -> None:
    """What concerns it trains it again, and it alone: its code and its parameters; a comment does not."""
    assert set(run_training(opened(folder).workspace()).values()) == {"cached"}
    run_training(opened(folder, "beside=[popularity]").workspace())
    file = folder / "features.py"
    file.write_text(file.read_text().replace("class Logistic:", "# mine\nclass Logistic:"))
    assert run_training(opened(folder, "beside=[popularity]").workspace())["trainer.logistic"] == "cached"
    file.write_text(file.read_text().replace("max_iter=1000", "max_iter=50"))
    changed = run_training(opened(folder, "beside=[popularity]").workspace())
    assert (changed["trainer.logistic"], changed["trainer.popularity"]) == ("success", "cached")
    assert run_training(opened(folder, "model.parameters.logistic.C=0.5").workspace())["trainer.logistic"] == "success"


def test_parameters_of_another_type_do_not_decide(folder: Path) -> None:
    """Of two types of one's own each is trained again for its own parameters; built-in types for none."""
    file = folder / "features.py"
    file.write_text(f"{file.read_text()}feed.rankers(second=Logistic)\n")
    one = opened(folder, "model.parameters.second.C=1").workspace()
    other = opened(folder, "model.parameters.second.C=2").workspace()
    assert decisive_settings("second", one) != decisive_settings("second", other)
    for type_ in ("logistic", "lightgbm", "factor_blend"):
        assert decisive_settings(type_, one) == decisive_settings(type_, other)


def test_a_misfit_is_told_before_anything_is_trained(folder: Path) -> None:
    """A parameter that the ranker does not take stops a training and a search before the first type or trial."""
    workspace = opened(
        folder, "model.parameters.logistic.D=3", "model.type=popularity", "beside=[logistic]"
    ).workspace()
    with pytest.raises(UserError, match=r"has the keys C, D, and the ranker is made by logistic\(C=1.0\): .*'D'"):
        run_training(workspace)
    with pytest.raises(UserError, match="made by logistic"):
        plan_search(opened(folder, "search.space.model.parameters.logistic.D=[1, 2]").workspace(), None)


def test_a_search_and_cross_validation_take_it(folder: Path) -> None:
    """Its parameters are searched by name; a search of changed code is another one."""
    workspace = opened(folder).workspace()
    name = tune(workspace)
    trials = workspace.catalogue().runs.search("small", f"tag.orita.search = '{name}' and tag.orita.trial is not null")
    tried = {float(run.params["model.parameters.logistic.C"]) for run in trials}
    assert len(tried) == 2 and all(1e-3 <= value <= 10 for value in tried)
    assert len(cross_validated(workspace, "logistic", folds=2).scores) == 2
    file = folder / "features.py"
    file.write_text(file.read_text().replace("max_iter=1000", "max_iter=50"))
    assert plan_search(opened(folder).workspace(), None).name != name


def test_a_fit_that_returns_no_report_is_told(folder: Path) -> None:
    """The most likely slip of a first ranker is a sentence, in a training as in a search."""
    file = folder / "features.py"
    file.write_text(file.read_text().replace('return FitReport(params={"C": self.C})', "return self"))
    with pytest.raises(UserError, match=r"fit\(\) of the ranker Logistic returned a Logistic: return a FitReport"):
        run_training(opened(folder).workspace())


def test_what_a_fit_tells_does_not_rename_its_run(folder: Path) -> None:
    """A run is of the type that was trained, on the rows that were given, whatever the report calls so."""
    file = folder / "features.py"
    file.write_text(file.read_text().replace('{"C": self.C}', '{"type": "mine", "rows": -1}'))
    project = opened(folder)
    run_pipeline("training", project.workspace())
    newest, _ = project.catalogue().versions("small")
    run = project.catalogue().runs.get(newest.run_id)
    assert (run.params["type"], int(run.params["rows"])) == ("logistic", len(project.examples("train")))


DATACLASS = """
from __future__ import annotations
from dataclasses import dataclass, field
{declared}
@dataclass
class Mine:
    depths: list[int] = field(default_factory=list)
    def fit(self, train, val, context): ...
    def score(self, rows): ...
    def export(self, folder): ...
feed.rankers({name}=Mine)
"""


def test_a_project_s_file_is_a_module(tmp_path: Path) -> None:
    """A ranker may be a dataclass; a built-in name is refused with the file; a file that fails leaves nothing."""
    (tmp_path / "orita.yaml").write_text("system: features.py\n")
    file = tmp_path / "features.py"
    file.write_text(DATACLASS.format(declared=DECLARED, name="mine"))
    project = open_project(tmp_path, home=tmp_path / "home", overrides=["model.parameters.mine.depths=[2, 3]"])
    made: Any = project.ranker("mine")
    assert made.depths == (2, 3)
    file.write_text(DATACLASS.format(declared=DECLARED, name="linear"))
    with pytest.raises(UserError, match=r"features\.py declares a ranker 'linear', which is a built-in type"):
        open_project(tmp_path, home=tmp_path / "home")
    loaded = {name for name in sys.modules if name.startswith("orita_project_features_")}
    (tmp_path / "other").mkdir()
    shutil.copy(tmp_path / "orita.yaml", tmp_path / "other")
    (tmp_path / "other" / "features.py").write_text("raise RuntimeError\n")
    with pytest.raises(UserError, match="cannot be imported: RuntimeError"):
        open_project(tmp_path / "other", home=tmp_path / "home")
    assert {name for name in sys.modules if name.startswith("orita_project_features_")} == loaded


SERVED = """
import sys
for name in ("sklearn", "torch", "lightgbm", "onnx", "mlflow"):
    sys.modules[name] = None
from pathlib import Path
import numpy as np
from orita.project import open_project

folder = Path(sys.argv[1])
project = open_project(folder, home=folder / "home")
assert not project.system.own_rankers
(champion,) = (project.home.packages / "small").iterdir()
rows, package = np.load(folder / "rows.npz"), project.load_package(champion)
assert package.metadata.model_type == "logistic"
np.save(folder / "scores.npy", package.score(rows["users"], rows["items"], rows["x"]))
"""


def test_serving_needs_neither_the_class_nor_its_library(folder: Path) -> None:
    """Another process, in which the class is not declared and its library missing, scores as the ranker did."""
    project = opened(folder)
    ranker, train, val = project.ranker(), project.examples("train"), project.examples("val")
    ranker.fit(train, val, FitContext())
    np.savez(folder / "rows.npz", users=val.users_N, items=val.items_N, x=val.x_NF)
    (folder / "features.py").write_text(DECLARED)
    (folder / "model_config.yaml").write_text("")
    subprocess.run([sys.executable, "-c", SERVED, str(folder)], check=True)
    np.testing.assert_allclose(np.load(folder / "scores.npy"), ranker.score(val), atol=1e-6)
