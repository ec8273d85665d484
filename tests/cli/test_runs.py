"""Runs as a person and a scheduler meet them: history, going on, one task at a time, schedule."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.small_world import orita_inside, told

from orita.project import open_project

TASKS = ("generate_data", "validate_data", "compute_features", "create_train_val_test_splits", "save_features")


def test_the_etl_task_by_task_makes_what_it_makes_at_once(tmp_path: Path) -> None:
    """Each task by a call of its own, as Airflow does it: the same training set; the history has the run."""
    once, apart = tmp_path / "once", tmp_path / "apart"
    once.mkdir()
    apart.mkdir()
    (whole,) = told(once, "run", "etl")["runs"]
    results = {
        name: told(apart, "run", "etl", "--task", name, "--run", "scheduled__2024-11-15")["result"] for name in TASKS
    }
    expected = {task["name"]: task["result"] for task in whole["tasks"]}
    assert results["create_train_val_test_splits"] == expected["create_train_val_test_splits"]
    rows = [each["save_features"]["steps"][0]["outputs"]["rows"]["digest"] for each in (results, expected)]
    assert rows[0] == rows[1]
    (run,) = told(apart, "runs", "list")["runs"]
    assert (run["run"], run["status"], run["done"], run["tasks"]) == ("scheduled__2024-11-15", "success", 5, 5)
    shown = told(apart, "runs", "show", "sched")
    made = {each["task"]: each["made"] for each in shown["results"]}
    assert set(made["generate_data"]) == {"source"} and set(made["save_features"]) == {"rows"}
    printed = orita_inside(apart, "runs", "show")
    assert "scheduled__2024-11-15" in printed and "save_features" in printed
    assert "etl" in orita_inside(apart, "runs", "list", "--graph", "etl")
    assert told(apart, "runs", "list", "--graph", "training") == {"runs": []}


def test_isolated_the_etl_makes_the_same(tmp_path: Path) -> None:
    """Each task in a process that opens the project anew; the second time nothing is done."""
    runs = [told(tmp_path, "--set", "runs.isolated=true", "run", "etl")["runs"][0] for _ in range(2)]
    splits = [run["tasks"][3]["result"]["splits"] for run in runs]
    assert splits[0] == splits[1] and splits[0]["train"]["rows"] > 0
    assert [task["status"] for task in runs[1]["tasks"]] == ["cached"] * 5


def test_a_failed_run_says_how_to_go_on(tmp_path: Path) -> None:
    """Which run, how to look at it, how to go on; the history has the sentence."""
    said = orita_inside(tmp_path, "run", "training", code=2)
    assert "orita run etl" in said
    shown = told(tmp_path, "runs", "show", "last")
    assert (shown["status"], shown["done"]) == ("failed", 0)
    assert shown["results"][0]["status"] == "failed" and shown["error"] == shown["results"][0]["error"]
    assert shown["results"][0]["logs"]["1"][-1].endswith(shown["error"])
    assert shown["results"][1]["status"] == "not begun"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "etl", "--resume", "--force"], "--resume and --force exclude each other"),
        (["run", "etl", "--task", "generate_data"], "--task and --run belong together"),
        (["run", "retraining", "--done-by", "x"], "--done-by x: it belongs to --task and --run"),
        (["run", "etl", "--task", "generate_data", "--run", "b", "--done-by", "x"], "of etl runs no other pipeline"),
        (["run", "etl", "--from", "save"], "has no task 'save'"),
        (["run", "all", "--from", "save_features"], "'all' is several graphs"),
        (["run", "all", "--task", "a", "--run", "b"], "pipeline 'all' does not exist"),
        (["runs", "show", "nothing"], "run 'nothing' is not known"),
        (["--set", "runs.schedules={etl: daily}", "schedule", "--list"], "cron 'daily' has 1 fields"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, arguments: list[str], says: str) -> None:
    """With exit code 2, and nothing is begun."""
    assert says in " ".join(orita_inside(tmp_path, *arguments, code=2).split())
    assert told(tmp_path, "runs", "list") == {"runs": []}


def test_the_schedule_is_told(tmp_path: Path) -> None:
    """Cron, the next time, what else begins it, and how the last run ended; nothing is run."""
    found = told(tmp_path, "schedule", "--list")
    assert {each["pipeline"]: each["cron"] for each in found["pipelines"]} == {
        "etl": "0 2 * * *",
        "training": None,
        "monitoring": "0 4 * * *",
        "retraining": "0 0 * * 0",
    }
    assert found["queue"] == []
    assert all(each["last"] is None for each in found["pipelines"])
    assert "0 4 * * *" in orita_inside(tmp_path, "schedule", "--list")


def test_a_trained_and_promoted_model_is_told(tmp_path: Path) -> None:
    """The events of a whole run: CloudEvents with what the contract names."""
    told(tmp_path, "run", "all")
    home = open_project(tmp_path).home
    events = [json.loads(line) for line in (home.runs / "feed" / "events.jsonl").read_text().splitlines()]
    by_type = {event["type"]: event for event in events}
    trained = by_type["model.training.completed"]["data"]
    assert {"model_id", "version", "accuracy", "training_duration"} <= set(trained)
    assert by_type["model.promotion.completed"]["data"]["version"] == trained["version"]
    assert [event["type"] for event in events].count("pipeline.run.completed") == 3
    told(tmp_path, "run", "all")
    again = (home.runs / "feed" / "events.jsonl").read_text()
    assert again.count("model.training.completed") == 1, "what was found was not done"
