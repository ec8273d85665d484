"""The commands of retraining, on a home without a model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_tables import orita_json, run_orita

import orita.cli.control
import orita.cli.retraining
import orita.cli.run  # noqa: F401  they register their commands
from orita.control.deployments import Deployments
from orita.core.errors import UserError
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.pipelines.retraining.record import Decision, RetrainingRecord

BUDGET = ("--set", "retraining.budget={runs: 1, cost: 10, cost_per_hour: 60}")
WHO: dict[str, Any] = {"actor": "ada"}


def trained(folder: Path) -> RetrainingRecord:
    """Record a training of a minute whose model was promoted a moment ago; return the record."""
    home = Home(folder / ".orita")
    record = RetrainingRecord(home.control)
    for version in ("v1.1.0", "v1.2.0"):
        Deployments(home.control).deploy("feed", version, actor="ada", reason="better")
    decision = Decision(id=uuid7(), at=datetime.now(UTC), retrain=True, reasons=("new_rows: many.",))
    record.decide("feed", decision, evidence={"conditions": [{"name": "new_rows"}]}, command=None, **WHO)
    record.trained("feed", decision.id, "v1.2.0", seconds=60.0, data_to="", **WHO)
    record.end("feed", decision.id, "promoted", "AUC +0.01", watch=timedelta(hours=72), **WHO)
    return record


def test_nothing_was_decided(tmp_path: Path) -> None:
    """It says so, and what decides."""
    assert "goes on" in run_orita(tmp_path, "retraining", "status")
    assert "'orita run retraining'" in run_orita(tmp_path, "retraining", "history")
    assert "Nothing is watched" in run_orita(tmp_path, "retraining", "watch")
    assert orita_json(tmp_path, "retraining", "watch") == {"watched": None}


def test_a_run_without_events_is_a_failure_that_is_shown(tmp_path: Path) -> None:
    """A decision is recorded before anything is done, and its end with what kept it from ending well."""
    with pytest.raises(UserError, match="there are no events to learn from"):
        run_orita(tmp_path, "run", "retraining", "--force")
    told = orita_json(tmp_path, "retraining", "status")
    assert (told["failures"], told["decisions"][0]["outcome"]) == (1, "failed")
    events = orita_json(tmp_path, "retraining", "history")["events"]
    assert [event["type"] for event in events] == ["decided", "ended"]
    assert events[0]["decision"] == events[1]["decision"] == told["latest"]["id"]
    assert (events[0]["retrain"], events[0]["forced"]) == (True, True)
    assert events[0]["evidence"]["conditions"][-1]["name"] == "scheduled"
    assert "failed" in run_orita(tmp_path, "retraining", "history")


def test_status_and_history_tell_of_a_training(tmp_path: Path) -> None:
    """The budget that it took, until when its model is watched, and each decision with its evidence."""
    trained(tmp_path)
    shown = run_orita(tmp_path, *BUDGET, "retraining", "status")
    assert "1 of 1 runs, 1 of 10 cost in 7 days" in shown
    assert "v1.2.0 until" in shown and "The budget is spent: 1 trainings" in shown
    told = orita_json(tmp_path, *BUDGET, "retraining", "status")
    assert told["spent"] == {"runs": 1, "hours": 1 / 60, "cost": 1.0, "days": 7.0}
    (last,) = orita_json(tmp_path, "retraining", "history", "--last", "1")["events"]
    assert (last["outcome"], last["reason"], last["actor"]) == ("promoted", "AUC +0.01", "ada")
    assert "the last 1 of 3" in run_orita(tmp_path, "retraining", "history", "--last", "1")
    assert len(orita_json(tmp_path, "control", "log", "--kind", "retraining")["events"]) == 3


def test_stop_and_resume(tmp_path: Path) -> None:
    """Stopped nobody trains, forced or not; each is a decision with who and why."""
    run_orita(tmp_path, "retraining", "stop", "--reason", "holidays")
    assert "stopped since" in run_orita(tmp_path, "retraining", "status")
    with pytest.raises(UserError, match=r"holidays.*'orita retraining resume' goes on"):
        run_orita(tmp_path, "run", "retraining", "--force")
    with pytest.raises(UserError, match="is stopped already"):
        run_orita(tmp_path, "retraining", "stop")
    assert orita_json(tmp_path, "retraining", "resume", "--reason", "back") == {"system": "feed", "stopped": None}
    with pytest.raises(UserError, match="is not stopped"):
        run_orita(tmp_path, "retraining", "resume")
    events = orita_json(tmp_path, "retraining", "history")["events"]
    assert [(event["type"], event["reason"]) for event in events] == [("stopped", "holidays"), ("resumed", "back")]
