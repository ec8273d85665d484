"""Runs that are begun, added to and ended, and runs under another."""

from __future__ import annotations

import math

import pytest

from orita.core.errors import NotFound, UserError
from orita.registry.catalogue import Catalogue, RunLog


def test_a_run_is_begun_added_to_and_ended(catalogue: Catalogue) -> None:
    """It is running until it is ended; metrics keep their steps, the latest is its figure; a search finds it."""
    parent = catalogue.runs.begin("feed", "search")
    child = catalogue.runs.begin("feed", "trial 0", {"rate": 0.1, "dims": [8, 4]}, {"orita.trial": "0"}, parent)
    for step, value in enumerate((0.6, 0.7, math.nan, 0.65)):
        catalogue.runs.log_metrics(child, {"val_auc": value}, step)
    run = catalogue.runs.get(child)
    assert (run.status, run.ended_at, run.parent, run.name) == ("RUNNING", None, parent, "trial 0")
    assert (run.params, run.metrics) == ({"rate": "0.1", "dims": "[8, 4]"}, {"val_auc": 0.65})
    steps = catalogue.runs.history(child)["val_auc"]
    assert [step for step, _ in steps] == [0, 1, 2, 3]
    assert math.isnan(steps[2][1])
    assert [run.run_id for run in catalogue.runs.search("feed", f"parent = '{parent}' and status = 'RUNNING'")] == [
        child
    ]
    catalogue.runs.log_history(child, [(4, {"val_auc": 0.66}), (5, {"val_auc": 0.67, "val_loss": 0.5})])
    catalogue.runs.end(child, "FAILED", {"orita.error": "no room left"})
    ended = catalogue.runs.get(child)
    assert (ended.status, ended.tags["orita.error"]) == ("FAILED", "no room left")
    assert (ended.metrics, len(catalogue.runs.history(child)["val_auc"])) == ({"val_auc": 0.67, "val_loss": 0.5}, 6)
    assert ended.ended_at is not None and ended.ended_at >= ended.started_at
    assert catalogue.runs.finished("feed", "orita.trial", "0") is None  # only what finished is found to be done
    assert [run.run_id for run in catalogue.runs.search("feed", "started < '2000-01-01'")] == []


def test_a_run_of_many_parts_is_logged_whole(catalogue: Catalogue) -> None:
    """More params than MLflow takes at once, a long text, steps of a fit, a parent: all of it is there."""
    parent = catalogue.runs.log("feed", RunLog("above", {}, {}))
    params = {f"p{number}": "x" * 5000 if number == 3 else number for number in range(250)}
    history = [{"epoch": float(step), "loss": 1 / (step + 1)} for step in range(600)]
    log = RunLog("many", params, {"auc": 0.7}, history, {"team": "ads"}, parent)
    run = catalogue.runs.get(catalogue.runs.log("feed", log))
    assert len(run.params) == 250
    assert len(run.params["p3"]) == 5000
    assert (run.parent, run.status, run.metrics["auc"]) == (parent, "FINISHED", 0.7)
    assert len(catalogue.runs.history(run.run_id)["fit_loss"]) == 600


def test_what_mlflow_refuses_ends_the_run_as_failed(catalogue: Catalogue) -> None:
    """A metric of an impossible name is an error, and the run does not look as if it still went on."""
    with pytest.raises(Exception, match="name"):
        catalogue.runs.log("feed", RunLog("bad", {}, {"a*b": 1.0}))
    assert [run.status for run in catalogue.runs.search("feed")] == ["FAILED"]


def test_wrong_words_are_refused(catalogue: Catalogue) -> None:
    """A run ends with a state that ends; a run that is not there is not found."""
    run = catalogue.runs.begin("feed", "trial")
    with pytest.raises(UserError, match="FINISHED, FAILED, KILLED"):
        catalogue.runs.end(run, "RUNNING")
    with pytest.raises(NotFound, match="models search --runs"):
        catalogue.runs.get("0" * 32)
