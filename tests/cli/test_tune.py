"""``orita tune``: by the command line, in a project of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tests.cli.small_world import command, orita_inside, told

for module in ("optuna", "torch", "lightgbm", "mlflow", "matplotlib"):
    pytest.importorskip(module, reason="the extra train is not installed")

SPACE = """
search:
  trials: 3   # few
  sampler: random
  space:
    model.type: [popularity, lightgbm]   # quick ones
    model.popularity.smoothing: {low: 1, high: 100, log: true, when: {model.type: popularity}}
    model.lightgbm.num_leaves: {low: 3, high: 31, when: {model.type: lightgbm}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a training set, and with a search of three trials."""
    folder = tmp_path_factory.mktemp("tune")
    orita_inside(folder, "init", ".")
    config = folder / "model_config.yaml"
    config.write_text(config.read_text() + SPACE)
    orita_inside(folder, "run", "etl")
    orita_inside(folder, "tune", "--name", "first")
    return folder


def test_a_search_is_shown_in_every_way(project: Path, tmp_path: Path) -> None:
    """Status, the best with its caution, JSON, and a page."""
    (listed,) = told(project, "tune", "status")["searches"]
    assert (listed["name"], listed["planned"], listed["counts"]) == ("first", 3, {"complete": 3})
    text = orita_inside(project, "tune", "show", "--report", str(tmp_path / "page.html"))
    assert "best auc" in text and "without luck" in text and "the figure flatters it" in text
    assert (tmp_path / "page.html").exists()
    shown = told(project, "tune", "show", "first")
    assert shown["best"]["value"] == max(trial["value"] for trial in shown["trials"])
    assert "first" in orita_inside(project, "tune", "status")


def test_the_same_search_goes_on_to_a_higher_number(project: Path, tmp_path: Path) -> None:
    """With more trials the command adds to the search, and leaves what is there."""
    folder = tmp_path / "copy"
    shutil.copytree(project, folder)
    before = told(folder, "tune", "show", "first")["trials"]
    done = told(folder, "tune", "--name", "first", "--trials", "4", "--timeout", "1h")
    after = told(folder, "tune", "show", "first")["trials"]
    assert after[: len(before)] == before and len(after) == 4 and done["planned"] == 4


def test_the_best_values_are_written_and_comments_kept(project: Path, tmp_path: Path) -> None:
    """The file differs in the values alone, and is what the next training reads."""
    best = told(project, "tune", "show", "first")["best"]["values"]
    folder = tmp_path / "copy"
    shutil.copytree(project, folder)
    before = (folder / "model_config.yaml").read_text()
    applied = told(folder, "tune", "apply", "first")
    after = (folder / "model_config.yaml").read_text()
    assert applied["written"] and "trials: 3   # few" in after and "[popularity, lightgbm]   # quick ones" in after
    assert before.splitlines()[0] == after.splitlines()[0], "the first line is a comment"
    found = {item["key"]: item["value"] for items in told(folder, "config", "model").values() for item in items}
    assert {key: found[key] for key in best} == best
    anchored = before.replace("evaluation:\n", "evaluation: &shared\n").replace(
        "  trials: 3   # few\n", "  trials: 3\n"
    )
    (folder / "model_config.yaml").write_text(anchored.replace("model:\n", "model:  # one line\n"))
    assert told(folder, "tune", "apply", "first", "--trial", "1")["written"], "an anchor that nobody uses is no harm"


def test_without_a_file_the_values_are_printed(project: Path, tmp_path: Path) -> None:
    """Where there is no file to write, the values are given as YAML and as options."""
    folder = tmp_path / "bare"
    shutil.copytree(project, folder)
    (folder / "model_config.yaml").unlink()
    text = orita_inside(folder, "tune", "apply", "first")
    assert "does not exist" in text and "--set 'model.type=" in text and "model:" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tune", "show", "frist"), "Did you mean 'first'?"),
        (("tune", "apply", "first", "--trial", "99"), "has no complete trial 99. Complete: 1, 2, 3"),
        (("tune", "--timeout", "soon"), "--timeout 'soon' is not understood"),
        (("tune", "--trials", "0"), "'search.trials' in option --set search.trials has the value 0"),
        (("tune", "--set", "search.space.model.drpout=[0.1, 0.2]"), "Did you mean 'model.dropout'?"),
        (("tune", "--name", "first", "--set", "search.metric=log_loss"), "was begun with another metric"),
        (("tune", "--set", "search.metric=aucc"), "Did you mean 'auc'?"),
    ],
)
def test_mistakes_are_one_sentence(project: Path, arguments: tuple[str, ...], said: str) -> None:
    """What cannot be meant ends with exit code 2 and what to do, before anything is trained."""
    assert said in " ".join(orita_inside(project, *arguments, code=2).split())


SEARCH = (
    *("--name", "one", "--trials", "3", "--set", "search.sampler=tpe", "--set", "training.epochs=3"),
    *("--set", "search.space={model.dropout: {low: 0, high: 0.5}}", "--set", "model.type=linear"),
)


@pytest.fixture(scope="module")
def whole(project: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return the trials of a search that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole") / "project"
    shutil.copytree(project, folder)
    orita_inside(folder, "tune", *SEARCH)
    trials: list[dict[str, Any]] = told(folder, "tune", "show", "one")["trials"]
    return trials


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_stopped_process_loses_no_trial(
    project: Path, whole: list[dict[str, Any]], tmp_path: Path, how: signal.Signals
) -> None:
    """Killed or asked to stop in the middle of a trial, the same command ends as one that nobody stopped."""
    folder = tmp_path / "project"
    shutil.copytree(project, folder)
    journal = folder / ".orita" / "searches" / "default" / "feed" / "one" / "journal.jsonl"
    process = subprocess.Popen(command("tune", *SEARCH), cwd=folder, env=_environment(), stderr=subprocess.DEVNULL)
    _wait_for(lambda: journal.exists() and journal.read_text().count('"run_id"') >= 3)  # the search's, and two trials'
    process.send_signal(how)
    assert process.wait(200) == (-9 if how is signal.SIGKILL else 75)
    orita_inside(folder, "tune", *SEARCH)
    trials = told(folder, "tune", "show", "one")["trials"]
    assert [_decisive(trial) for trial in trials] == [_decisive(trial) for trial in whole]
    assert [trial["attempts"] for trial in trials] == [1, 2, 1]


def _decisive(trial: dict[str, Any]) -> dict[str, Any]:
    return {name: trial[name] for name in ("number", "values", "state", "value", "parts", "steps")}


def _environment() -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if not k.startswith("ORITA_")}, "OMP_NUM_THREADS": "1"}


def _wait_for(true: Any) -> None:
    until = time.monotonic() + 300
    while not true():
        assert time.monotonic() < until, "it did not come so far"
        time.sleep(0.02)
