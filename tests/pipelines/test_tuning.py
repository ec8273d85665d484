"""A search wired together: on a small home, with models that take no time."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.features.small_system import events, ingested, small_workspace

from orita.core.errors import NotFound, OritaError, UserError
from orita.features.training_sets.training_set import latest_training_set
from orita.models.build import build_ranker
from orita.models.search.course import Course
from orita.models.search.study import Study
from orita.models.search.trials import Trial
from orita.models.search.view import Search, find_search
from orita.pipelines.config import ModelConfig
from orita.pipelines.etl import etl_graph
from orita.pipelines.graph import run_graph
from orita.pipelines.search_plan import plan_search
from orita.pipelines.tuning import tune
from orita.pipelines.workspace import Workspace

for module in ("optuna", "torch", "lightgbm", "mlflow"):
    pytest.importorskip(module, reason="the extra train is not installed")

from orita.models.training.interruption import Interrupted  # noqa: E402 - it needs torch


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return surroundings whose training set has lost its test rows: a search must not miss them."""
    folder = tmp_path_factory.mktemp("tuning")
    workspace = small_workspace(folder)
    ingested(workspace.home, folder, events(400), workspace.system)
    graph = etl_graph(workspace)
    run_graph(replace(graph, tasks=graph.tasks[2:]), workspace)
    latest_training_set(workspace.home.training_sets, workspace.system.name).file("test").unlink()
    return workspace


def searching(workspace: Workspace, space: dict[str, Any], **search: Any) -> Workspace:
    """Return *workspace* with a search over *space*."""
    config = ModelConfig.model_validate(
        {
            "model": {"type": "linear", "lightgbm": {"max_trees": 30, "min_rows_in_leaf": 5, "threads": 1}},
            "training": {"epochs": 3, "batch_size": 64},
            "evaluation": {"resamples": 20},
            "search": {"space": space, "sampler": "random", "pruner": "none", **search},
        }
    )
    return replace(workspace, model=config)


def found(workspace: Workspace, name: str) -> Search:
    """Return a search as it is kept."""
    return find_search(workspace.home.searches / workspace.system.name, name)


RATES = {"training.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}}
TYPES = {
    "model.type": ["linear", "lightgbm", "popularity"],
    "model.lightgbm.num_leaves": {"low": 3, "high": 31, "when": {"model.type": "lightgbm"}},
}


def test_each_trial_is_a_run_and_test_rows_are_not_opened(home: Workspace) -> None:
    """Values, figures, epochs and lineage are in MLflow under one run of the search; the same command does nothing."""
    workspace = searching(home, TYPES, trials=6)
    told: list[Trial] = []
    name = tune(workspace, told=told.append)
    assert [trial.number for trial in told] == [1, 2, 3, 4, 5, 6]
    assert all(trial.state == "complete" and trial.value is not None for trial in told)
    assert {trial.type for trial in told} == {"linear", "lightgbm", "popularity"}
    catalogue, lightgbm = workspace.catalogue(), next(trial for trial in told if trial.type == "lightgbm")
    run = catalogue.runs.get(lightgbm.run_id)
    assert run.status == "FINISHED" and run.metrics["val_auc"] == lightgbm.value
    assert run.params["model.lightgbm.num_leaves"] == str(lightgbm.values["model.lightgbm.num_leaves"])
    assert (run.tags["orita.search"], run.tags["orita.trial"]) == (name, str(lightgbm.number))
    assert run.tags["orita.training_set"] and run.tags["orita.feature_schema"] and run.tags["orita.tables"]
    history = catalogue.runs.history(lightgbm.run_id)["fit_val_auc"]
    assert [step for step, _ in history] == list(range(1, len(history) + 1))
    parent = catalogue.runs.get(run.parent or "")
    assert parent.status == "FINISHED" and parent.name == f"search {name}" and parent.params["metric"] == "auc"
    assert tune(workspace, told=told.append) == name and len(told) == 6, "nothing is left to do"


def test_a_search_that_is_asked_to_stop_goes_on_as_if_it_had_not_been(home: Workspace) -> None:
    """SIGTERM ends it with 75 once the trial under way is over; its trials are those of a search never stopped."""
    workspace = searching(home, RATES, trials=3, metric="log_loss")

    def stop(trial: Trial) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match="after 1 of 3 trials; the same command goes on") as stopped:
        tune(workspace, name="stopped", told=stop)
    assert stopped.value.exit_code == 75
    tune(workspace, name="stopped")
    tune(workspace, name="whole")
    first, second = (found(workspace, name).trials for name in ("stopped", "whole"))
    assert [(one.values, one.value) for one in first] == [(one.values, one.value) for one in second]
    assert len(first) == 3 and len({one.value for one in first}) > 1


@pytest.mark.parametrize("type_", ["linear", pytest.param("lightgbm", marks=pytest.mark.slow)])
def test_a_trial_that_is_stopped_in_its_middle_is_tried_again(
    home: Workspace, monkeypatch: pytest.MonkeyPatch, type_: str
) -> None:
    """Its values come again under its number; a network goes on from its checkpoint, and ends where it would have."""
    workspace = searching(home, {"model.type": [type_, "popularity"], **RATES}, trials=2)
    name = f"middle-{type_}"
    on_epoch = Course.on_epoch
    epochs: list[int] = []

    def stopping(self: Any, epoch: int, figures: Any) -> None:
        epochs.append(epoch)
        if len(epochs) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        on_epoch(self, epoch, figures)

    monkeypatch.setattr(Course, "on_epoch", stopping)
    with pytest.raises(Interrupted):
        tune(workspace, name=name)
    cut = found(workspace, name).trials[-1]
    assert cut.state == "interrupted" and cut.type == type_
    monkeypatch.setattr(Course, "on_epoch", on_epoch)
    tune(workspace, name=name)
    tune(workspace, name=f"{name}-whole")
    first, second = (found(workspace, one).trials for one in (name, f"{name}-whole"))
    assert [(one.values, one.value) for one in first] == [(one.values, one.value) for one in second]
    again = next(one for one in first if one.number == cut.number)
    assert again.attempts == 2 and again.values == cut.values and again.run_id == cut.run_id
    assert again.steps == second[again.number - 1].steps, "steps before the stop are told again"
    assert not list((workspace.home.checkpoints / workspace.system.name).glob(f"search-{name}/*"))


def test_a_kill_before_a_run_is_noted_leaves_no_run_behind(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run that was begun last is that of the trial when it is tried again: none stays RUNNING for ever."""
    workspace = searching(home, {"model.popularity.smoothing": {"low": 1, "high": 50}}, trials=2)
    workspace = replace(workspace, model=workspace.model.model_copy(update={"model": _popularity(workspace)}))
    keep = Study.keep

    class Killed(BaseException):
        pass

    def killed(self: Study, attempt: Any, **facts: Any) -> None:
        if "run_id" in facts and attempt.number == 2:
            raise Killed
        keep(self, attempt, **facts)

    monkeypatch.setattr(Study, "keep", killed)
    with pytest.raises(Killed):
        tune(workspace, name="unnoted")
    monkeypatch.setattr(Study, "keep", keep)
    tune(workspace, name="unnoted")
    runs = workspace.catalogue().runs.search(workspace.system.name, "tag.orita.search = 'unnoted'")
    assert sorted(run.tags.get("orita.trial", "") for run in runs) == ["", "1", "2"]
    assert {run.status for run in runs} == {"FINISHED"}


def test_trials_that_fall_behind_are_ended(home: Workspace) -> None:
    """A learning rate that leads nowhere is not trained to its last epoch; its run says so."""
    workspace = searching(home, RATES, trials=8, pruner="hyperband")
    search = found(workspace, tune(workspace))
    ended = [trial for trial in search.trials if trial.state == "pruned"]
    assert ended and all(max(trial.steps) < 3 and trial.value is None for trial in ended)
    assert workspace.catalogue().runs.get(ended[0].run_id).status == "KILLED"


def test_folds_judge_on_more_rows(home: Workspace) -> None:
    """With folds the figure is the mean over folds of training and validation rows."""
    workspace = searching(home, {"model.popularity.smoothing": [1.0, 50.0]}, trials=9, folds=3, sampler="grid")
    workspace = replace(workspace, model=workspace.model.model_copy(update={"model": _popularity(workspace)}))
    search = found(workspace, tune(workspace))
    assert search.planned == len(search.trials) == 2, "a grid ends with its last combination"
    assert search.other_settings(workspace.model) == [], "a section of which all is searched is no other setting"
    other = workspace.model.model_copy(update={"seed": 5})
    assert search.other_settings(other) == ["seed"]
    for trial in search.trials:
        assert trial.value == pytest.approx(sum(trial.parts) / 3) and len(trial.parts) == 3
    assert "folds" in search.caution


def _popularity(workspace: Workspace) -> Any:
    return workspace.model.model.model_copy(update={"type": "popularity"})


def test_trials_that_fail_are_kept_and_three_at_the_start_end_it(
    home: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One failure among others is told and gone past; when nothing works, the search ends with what was said."""
    built = 0

    def failing(of: Callable[[int], bool]) -> Any:
        def made(*arguments: Any) -> Any:
            nonlocal built
            built += 1
            if of(built):
                raise RuntimeError("no room\nleft")
            return build_ranker(*arguments)

        return made

    monkeypatch.setattr("orita.pipelines.tuning.build_ranker", failing(lambda number: number == 2))
    search = found(home, tune(searching(home, RATES, trials=3), name="one-fails"))
    assert [trial.state for trial in search.trials] == ["complete", "failed", "complete"]
    assert search.trials[1].error == "RuntimeError: no room left"
    run = home.catalogue().runs.get(search.trials[1].run_id)
    assert (run.status, run.tags["orita.error"]) == ("FAILED", search.trials[1].error)
    monkeypatch.setattr("orita.pipelines.tuning.build_ranker", failing(lambda number: True))
    tune(searching(home, RATES, trials=7), name="one-fails")
    states = [trial.state for trial in found(home, "one-fails").trials]
    assert states[3:] == ["failed"] * 4, "trials before it that worked tell that the search is sound"
    with pytest.raises(OritaError, match="first 3 trials all failed, the last with: RuntimeError: no room left"):
        tune(searching(home, RATES, trials=9), name="all-fail")


def test_what_cannot_be_searched_is_said_before_anything_is_trained(home: Workspace, tmp_path: Path) -> None:
    """No space, a figure with no better side, a name that is none, a grid without an end, no training set."""
    with pytest.raises(UserError, match=r"search\.space is empty"):
        tune(searching(home, {}))
    with pytest.raises(UserError, match="neither more nor less is better"):
        tune(searching(home, RATES, metric="coverage_at_10"))
    with pytest.raises(UserError, match="--name 'A b' is not a name"):
        tune(searching(home, RATES), name="A b")
    with pytest.raises(UserError, match="give it a step or choices"):
        tune(searching(home, RATES, sampler="grid"))
    with pytest.raises(NotFound, match="training set"):
        tune(searching(small_workspace(tmp_path), RATES))


def test_the_name_stands_for_what_decides_the_figures(home: Workspace) -> None:
    """More trials or another pruner go on with a search; another space, seed or fixed value begins another."""
    name = plan_search(searching(home, RATES), None).name
    assert name.startswith("auc-")
    assert plan_search(searching(home, RATES, trials=99, pruner="median"), None).name == name
    applied = searching(home, RATES)
    rate = applied.model.training.model_copy(update={"learning_rate": 0.5})
    applied = replace(applied, model=applied.model.model_copy(update={"training": rate}))
    assert plan_search(applied, None).name == name, "the value that is applied to a searched key changes nothing"
    others = [searching(home, TYPES), searching(home, RATES, metric="log_loss"), searching(home, RATES, folds=2)]
    others.append(replace(applied, model=applied.model.model_copy(update={"seed": 1})))
    assert len({name, *(plan_search(other, None).name for other in others)}) == 5
