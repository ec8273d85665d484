"""The whole loop, from events to what serves: run again it does nothing, says so, and changes no file."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.features.small_system import events, ingested, small_workspace, write_jsonl
from tests.pipelines.components.small_training import files_of, with_keys
from typer.main import get_command

from orita.cli import learn, main  # noqa: F401 - it registers its commands
from orita.cli.app import app
from orita.cli.run_tables import show_anomalies, show_forecasts, show_run
from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.models.build import build_ranker
from orita.models.config import MODEL_TYPES
from orita.pipelines.graph import RunReport
from orita.pipelines.runs import explain_pipeline, run_pipeline
from orita.pipelines.workspace import Workspace
from orita.project import open_project

SMALL = [
    *(f"data_generation.{name}" for name in ("num_users=100", "num_items=80", "num_interactions=3000")),
    "model.type=popularity",
    "beside=[]",
    "evaluation.resamples=20",
    "evaluation.report=false",
]


@pytest.fixture(scope="module")
def looped(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Surroundings in which the loop ran once; they are only read."""
    folder = tmp_path_factory.mktemp("looped")
    workspace = open_project(folder, home=folder / "home", overrides=SMALL).workspace()
    reports = run_pipeline("all", workspace)
    assert not any(report.cached for report in reports)
    return workspace


@pytest.fixture
def own(looped: Workspace, tmp_path: Path) -> Workspace:
    """The same in a copy of the home, to be changed."""
    shutil.copytree(looped.home.root, tmp_path / "home")
    return replace(looped, home=Home(tmp_path / "home"))


def statuses(reports: list[RunReport]) -> dict[str, str]:
    """Return what became of each component."""
    return {
        step["component"]: step["status"]
        for report in reports
        for result in report.results.values()
        for step in result.get("steps", ())
    }


def test_a_second_run_does_nothing_and_says_so(looped: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """Every task of ETL, training and promotion is ``cached``; no file changes but the reports of the runs."""
    before = files_of(looped)
    reports = run_pipeline("all", looped)
    tasks = {task.name: task.status for report in reports for task in report.tasks}
    assert tasks == dict.fromkeys(tasks, "cached")
    assert len(tasks) == 5 + 5 + 2
    assert reports[-1].results["promote_if_better"] == {
        "promoted": False,
        "champion": "v1.1.0",
        "why": "it serves already",
        "cached": True,
    }
    assert files_of(looped) == before
    show_run(reports[1])
    shown = capsys.readouterr().out
    step = reports[1].results["register_model"]["steps"][0]
    assert "nothing to do" in shown.splitlines()[0]
    (line,) = [line for line in shown.splitlines() if line.strip().startswith("registrar")]
    assert line.split()[1:4] == ["cached", "0.0", step["digest"][:12]]


IMPORTED = """
import json, sys
from pathlib import Path
from orita.pipelines.runs import run_pipeline
from orita.project import open_project

folder, overrides = Path(sys.argv[1]), json.loads(sys.argv[2])
workspace = open_project(folder, home=folder / "home", overrides=overrides).workspace()
assert all(report.cached for report in run_pipeline("all", workspace))
print(json.dumps([name for name in ("torch", "lightgbm", "mlflow", "scipy.stats") if name in sys.modules]))
"""


def test_a_second_run_imports_nothing_that_it_does_not_need(looped: Workspace) -> None:
    """Finding that all is done loads no training library and no MLflow, so it takes a second or two, not ten."""
    command = [sys.executable, "-c", IMPORTED, str(looped.home.root.parent), json.dumps(SMALL)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_the_rows_of_a_second_ingest_are_known(looped: Workspace) -> None:
    """What is told of a source that was ingested before is what ingesting it again would tell."""
    told = run_pipeline("etl", looped)[0].results["validate_data"]["tables"]["interactions"]
    assert (told["rows_read"], told["rows_new"], told["version"]) == (3000, 0, None)
    assert told["rows_duplicate"] + told["rows_quarantined"] == 3000


def test_another_way_of_judging_registers_nothing_new(own: Workspace) -> None:
    """The model is judged and its run gets the new figures; it is neither trained, nor logged, nor registered twice."""
    other = with_keys(own, model__evaluation__metrics=("auc", "map"))
    reports = run_pipeline("training", other)
    again = [name for name, status in statuses(reports).items() if status != "cached"]
    assert again == ["evaluator", "recorder", "registrar"]
    (entry,) = own.catalogue().versions(own.system.name)
    assert entry.version == reports[0].results["register_model"]["version"] == "v1.1.0"
    assert "map" in own.catalogue().runs.get(entry.run_id).metrics
    assert len(own.catalogue().runs.search(own.system.name)) == 1


def test_train_says_what_the_model_is(
    own: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model that serves and was only judged anew is not called the challenger, and is not to be promoted."""
    monkeypatch.chdir(tmp_path)
    unchanged = "Nothing has changed since it was trained. "
    for resamples, smoothing, says in (
        (20, 20, f"{unchanged}It is the champion."),
        (30, 20, "It is the champion."),
        (30, 5, "It is the challenger. Next: orita models promote v1.2.0"),
        (30, 5, f"{unchanged}It is the challenger. Next: orita models promote v1.2.0"),
    ):
        keys = (*SMALL, f"evaluation.resamples={resamples}", f"model.popularity.smoothing={smoothing}")
        settings = [part for item in keys for part in ("--set", item)]
        monkeypatch.setattr("sys.argv", ["orita", "--quiet", "--home", str(own.home.root), *settings, "train"])
        with contextlib.suppress(SystemExit):
            main()
        assert capsys.readouterr().out.rstrip().splitlines()[-1] == says


def test_an_earlier_training_that_is_found_again_is_the_challenger(own: Workspace) -> None:
    """Whatever was registered since, the model of the latest run challenges; after that there is nothing to do."""
    one, two = (with_keys(own, model__model__popularity={"smoothing": smoothing}) for smoothing in (5.0, 6.0))
    made = [run_pipeline("training", each)[0].results["register_model"]["version"] for each in (one, two)]
    assert made == ["v1.2.0", "v1.3.0"]
    again = run_pipeline("training", one)
    (step,) = again[0].results["register_model"]["steps"]
    assert (step["status"], step["why"]) == ("success", "v1.2.0 is not the challenger any more: made again")
    assert {name for name, status in statuses(again).items() if status != "cached"} == {"registrar"}
    catalogue = own.catalogue()
    assert catalogue.get(own.system.name, "challenger").version == "v1.2.0"
    assert [entry.version for entry in catalogue.versions(own.system.name)] == ["v1.3.0", "v1.2.0", "v1.1.0"]
    assert run_pipeline("training", one)[0].cached
    assert run_pipeline("training", own)[0].results["register_model"]["version"] == "v1.1.0"
    assert catalogue.get(own.system.name, "challenger").version == "v1.2.0", "what serves challenges nothing"


def test_the_help_of_train_names_every_type() -> None:
    """What can be trained is what the configuration can name."""
    (option,) = [each for each in get_command(app).commands["train"].params if each.name == "type_"]  # type: ignore[attr-defined]
    assert all(type_ in option.help for type_ in MODEL_TYPES)


@pytest.mark.parametrize(
    ("sql", "again"),
    [
        ("UPDATE runs SET lifecycle_stage = 'deleted'", {"recorder", "registrar"}),
        ("UPDATE model_versions SET current_stage = 'Deleted_Internal'", {"registrar"}),
    ],
)
def test_what_the_registry_lost_is_noticed(own: Workspace, sql: str, again: set[str]) -> None:
    """A run or a version that was deleted in the registry makes the step again, with a sentence."""
    with closing(sqlite3.connect(own.home.mlflow_db)) as connection, connection:
        connection.execute(sql)
    plan = explain_pipeline("training", own)["model_training"]
    assert {forecast.component for forecast in plan if forecast.status != "cached"} == again
    (first, *_) = [forecast for forecast in plan if forecast.status == "runs"]
    assert first.why.startswith("the registry has no")


def test_a_published_world_that_is_gone_is_generated_again_and_not_ingested(own: Workspace) -> None:
    """The same bytes come again, so that nothing after them is done."""
    shutil.rmtree(own.home.generated)
    made = statuses(run_pipeline("etl", own))
    assert made.pop("world_generator") == "success"
    assert set(made.values()) == {"cached"}


def test_a_lake_that_is_gone_is_filled_again(own: Workspace) -> None:
    """A table that does not have the commit that brought the rows makes the ingest again."""
    for table in own.system.tables:
        shutil.rmtree(own.home.table(table), ignore_errors=True)
    plan = {forecast.component: forecast for forecast in explain_pipeline("etl", own)["etl_and_feature_engineering"]}
    assert "does not have the commit that brought them" in plan["ingester"].why
    assert run_pipeline("etl", own)[0].results["validate_data"]["tables"]["interactions"]["rows_new"] > 0


def test_a_plan_knows_that_new_events_change_what_is_on_disk(tmp_path: Path) -> None:
    """Where the ingest would bring events, the features of those in the lake are not said to be found again."""
    workspace = small_workspace(tmp_path)
    for name, rows in (("first", events(300)), ("second", events(60, start=300))):
        (tmp_path / name).mkdir()
        write_jsonl(tmp_path / name / "interactions.jsonl", rows)
    run_pipeline("etl", replace(workspace, source=tmp_path / "first"))
    again = replace(workspace, source=tmp_path / "second")
    (plan,) = explain_pipeline("etl", again).values()
    assert {forecast.component for forecast in plan if forecast.status == "cached"} == set()
    assert next(f.why for f in plan if f.component == "lake_events") == "source_finder may leave something new"
    assert set(statuses(run_pipeline("etl", again)).values()) == {"success"}


def test_another_model_of_the_same_training_is_another_version(own: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that was lost and came out otherwise, as on a GPU, is not recorded as the model of before."""
    before = own.catalogue().versions(own.system.name)[0]
    again = with_keys(own, model__model__popularity={"smoothing": 500.0}).model.model
    monkeypatch.setattr(
        "orita.pipelines.components.trainer.build_ranker",
        lambda type_, model, *rest: build_ranker(type_, again, *rest),
    )
    shutil.rmtree(own.home.components)
    run_pipeline("training", own)
    newest, oldest = own.catalogue().versions(own.system.name)
    assert (oldest.version, oldest.run_id, oldest.metrics) == (before.version, before.run_id, before.metrics)
    assert newest.run_id != before.run_id and newest.metrics["log_loss"] != before.metrics["log_loss"]


def test_the_same_model_of_the_same_training_is_the_same_version(own: Workspace) -> None:
    """A training that was lost and came out as before is found in the registry."""
    shutil.rmtree(own.home.components)
    report = run_pipeline("training", own)[0]
    (entry,) = own.catalogue().versions(own.system.name)
    assert report.results["register_model"]["version"] == entry.version
    assert len(own.catalogue().runs.search(own.system.name)) == 1


def test_a_plan_is_drawn(own: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """What would be done stands beside what it reads and makes, and why."""
    section = own.model.evaluation.model_copy(update={"resamples": 30})
    other = replace(own, model=own.model.model_copy(update={"evaluation": section}))
    show_forecasts(explain_pipeline("training", other))
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "model_training"
    (at,) = [n for n, line in enumerate(lines) if line.startswith("evaluator")]
    assert lines[at].split()[1] == "runs"
    assert lines[at].endswith("evaluation.resamples changed from 20 to 30")
    assert lines[at + 1] == "examples, model.popularity → evaluation: Evaluation"
    assert "depends" in lines[at + 3] and "input evaluation will be made again" in lines[at + 3]


def test_anomalies_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Severity, column, where and the sentence, none of it taken for markup; nothing where nothing is."""
    show_anomalies([])
    assert capsys.readouterr().out == ""
    show_anomalies([{"severity": "warning", "column": "", "where": "val", "sentence": "There is nothing."}])
    assert [*capsys.readouterr().out.splitlines()[-1].split()][:3] == ["warning", "rows", "val"]
    show_anomalies([{"severity": "info", "column": "[/red]", "where": "champion", "sentence": "New values: '[b]'."}])
    shown = capsys.readouterr().out
    assert "[/red]" in shown and "'[b]'" in shown


def test_a_plan_of_a_new_home_needs_nothing_there(tmp_path: Path) -> None:
    """In an empty home everything would be done, and nothing is made by asking."""
    workspace = open_project(tmp_path, home=tmp_path / "home", overrides=SMALL).workspace()
    plan = [forecast for graph in explain_pipeline("all", workspace).values() for forecast in graph]
    assert plan[0].why == "never done before"
    assert {forecast.status for forecast in plan[1:]} == {"depends"}
    assert not (tmp_path / "home").exists()


def test_a_plan_goes_by_what_the_lake_holds(looped: Workspace, tmp_path: Path) -> None:
    """Another world is refused as a run refuses it; where events were ingested, nothing would be generated."""
    section = looped.data.data_generation.model_copy(update={"seed": 7})
    other = replace(looped, data=looped.data.model_copy(update={"data_generation": section}))
    with pytest.raises(UserError, match="synthetic world of another configuration"):
        explain_pipeline("etl", other)
    ingested_there = small_workspace(tmp_path)
    ingested(ingested_there.home, tmp_path, events(60), ingested_there.system)
    (plan,) = explain_pipeline("etl", ingested_there).values()
    assert [forecast.component for forecast in plan] == ["lake_events", "transform"]


def test_only_pipelines_of_components_are_explained(looped: Workspace) -> None:
    """Monitoring and the triggers of a retraining look at what is there; a name that is none gets the closest."""
    with pytest.raises(UserError, match=r"'monitoring' looks at what was served when it runs.*'orita run monitoring'"):
        explain_pipeline("monitoring", looped)
    with pytest.raises(UserError, match=r"a trigger asks when it runs.*'orita run training --explain' say what"):
        explain_pipeline("retraining", looped)
    with pytest.raises(NotFound, match="'training'"):
        explain_pipeline("traning", looped)
