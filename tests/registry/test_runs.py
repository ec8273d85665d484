"""Runs that are begun, added to and ended, and runs under another."""

from __future__ import annotations

import math

import pytest

from orita.core.errors import NotFound, UserError
from orita.registry.catalogue import Catalogue, RunLog


def test_a_run_is_begun_added_to_and_ended(catalogue: Catalogue) -> None:
    """It is running until it is ended; metrics keep their steps, the latest is its figure; a search finds it."""
    parent = catalogue.begin_run("feed", "search")
    child = catalogue.begin_run("feed", "trial 0", {"rate": 0.1, "dims": [8, 4]}, {"orita.trial": "0"}, parent)
    for step, value in enumerate((0.6, 0.7, math.nan, 0.65)):
        catalogue.log_metrics(child, {"val_auc": value}, step)
    run = catalogue.run(child)
    assert (run.status, run.ended_at, run.parent, run.name) == ("RUNNING", None, parent, "trial 0")
    assert (run.params, run.metrics) == ({"rate": "0.1", "dims": "[8, 4]"}, {"val_auc": 0.65})
    steps = catalogue.run_history(child)["val_auc"]
    assert [step for step, _ in steps] == [0, 1, 2, 3]
    assert math.isnan(steps[2][1])
    assert [run.run_id for run in catalogue.search_runs("feed", f"parent = '{parent}' and status = 'RUNNING'")] == [
        child
    ]
    catalogue.end_run(child, "FAILED")
    ended = catalogue.run(child)
    assert ended.status == "FAILED"
    assert ended.ended_at is not None and ended.ended_at >= ended.started_at
    assert catalogue.find_run("feed", "orita.trial", "0") is None  # only what finished is found to be done
    assert [run.run_id for run in catalogue.search_runs("feed", "started < '2000-01-01'")] == []


def test_a_run_of_many_parts_is_logged_whole(catalogue: Catalogue) -> None:
    """More params than MLflow takes at once, a long text, steps of a fit, a parent: all of it is there."""
    parent = catalogue.log_run("feed", RunLog("above", {}, {}))
    params = {f"p{number}": "x" * 5000 if number == 3 else number for number in range(250)}
    history = [{"epoch": float(step), "loss": 1 / (step + 1)} for step in range(600)]
    log = RunLog("many", params, {"auc": 0.7}, history, {"team": "ads"}, parent)
    run = catalogue.run(catalogue.log_run("feed", log))
    assert len(run.params) == 250
    assert len(run.params["p3"]) == 5000
    assert (run.parent, run.status, run.metrics["auc"]) == (parent, "FINISHED", 0.7)
    assert len(catalogue.run_history(run.run_id)["fit_loss"]) == 600


def test_what_mlflow_refuses_ends_the_run_as_failed(catalogue: Catalogue) -> None:
    """A metric of an impossible name is an error, and the run does not look as if it still went on."""
    with pytest.raises(Exception, match="name"):
        catalogue.log_run("feed", RunLog("bad", {}, {"a*b": 1.0}))
    assert [run.status for run in catalogue.search_runs("feed")] == ["FAILED"]


def test_wrong_words_are_refused(catalogue: Catalogue) -> None:
    """A run ends with a state that ends; a run that is not there is not found."""
    run = catalogue.begin_run("feed", "trial")
    with pytest.raises(UserError, match="FINISHED, FAILED, KILLED"):
        catalogue.end_run(run, "RUNNING")
    with pytest.raises(NotFound, match="models search --runs"):
        catalogue.run("0" * 32)
