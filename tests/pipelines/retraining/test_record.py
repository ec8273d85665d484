"""Every decision about retraining is kept, once, and what it amounts to follows from the events."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.pipelines.retraining.made_retraining import WHO, decided, surroundings

from orita.control.replay import rebuild
from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.core.ids import uuid7
from orita.pipelines.retraining.holding import bounds_now, holds_now, spent
from orita.pipelines.retraining.record import RETRAINING, Decision, Outcome, RetrainingRecord
from orita.pipelines.retraining.watching import record_of
from orita.pipelines.workspace import Workspace


def failed(workspace: Workspace, outcome: Outcome = "failed", limit: int | None = 3) -> Any:
    """Record a training and its outcome; return the stop that came of it."""
    decision = decided(workspace)
    system = workspace.system.name
    return record_of(workspace).end(system, decision.id, outcome, "no disk", seconds=30.0, stop_after=limit, **WHO)[1]


def test_a_command_decides_once(tmp_path: Path) -> None:
    """A task that is carried out again after a kill is given the decision that it made, and no second event."""
    workspace = surroundings(tmp_path)
    record, system = record_of(workspace), workspace.system.name
    ids = []
    for reason in ("drift", "another reason by now"):
        decision = Decision(id=uuid7(), at=workspace.clock.now(), retrain=True, reasons=(reason,))
        ids.append(record.decide(system, decision, evidence={"auc": 0.7}, command="run/task", **WHO).id)
    assert ids[0] == ids[1]
    (event,) = record.history(system)
    assert (event.reason, event.command) == ("drift", "run/task")
    assert '"auc":0.7' in event.body


def test_the_state_follows_from_the_events(tmp_path: Path) -> None:
    """Thrown away and made again it is the same."""
    workspace = surroundings(tmp_path)
    for _ in range(3):
        failed(workspace)
    record, system = record_of(workspace), workspace.system.name
    record.resume(system, actor="ada", reason="mended")
    decided(workspace, version="v1.1.0")
    before = record.state(system)
    rebuild(record._of.log, {RETRAINING.name: RETRAINING})
    assert record.state(system) == before
    assert (before.failures, before.stopped, before.decisions[0].version) == (0, None, "v1.1.0")


@pytest.mark.parametrize(
    ("outcomes", "failures"),
    [
        (("failed", "failed"), 2),
        (("failed", "kept", "failed"), 1),
        (("rolled_back", "failed"), 2),
        (("failed", "confirmed"), 0),
        (("failed", "refused"), 0),
        (("failed", "promoted"), 0),
    ],
)
def test_failures_count_in_a_row(tmp_path: Path, outcomes: tuple[Outcome, ...], failures: int) -> None:
    """A run that failed and a model that was taken back count; whatever ended well ends the row."""
    workspace = surroundings(tmp_path)
    for outcome in outcomes:
        failed(workspace, outcome, None)
    assert record_of(workspace).state(workspace.system.name).failures == failures


def test_a_promotion_that_is_watched_ends_no_row(tmp_path: Path) -> None:
    """Promoted and taken back, again and again, is a row of failures."""
    workspace = surroundings(tmp_path)
    record, system = record_of(workspace), workspace.system.name
    for n in range(3):
        decision = decided(workspace, version=f"v1.{n}.0")
        record.end(system, decision.id, "promoted", "better", watch=timedelta(hours=1), stop_after=3, **WHO)
        assert record.state(system).failures == n
        _, stopped = record.end(system, decision.id, "rolled_back", "worse", stop_after=3, **WHO)
    assert stopped is not None and "3 failures in a row, the last: worse" in stopped.why


def test_the_last_failure_allowed_stops(tmp_path: Path) -> None:
    """In the transaction of the failure; until it is resumed nobody trains, after that failures count anew."""
    workspace = surroundings(tmp_path)
    record, system = record_of(workspace), workspace.system.name
    assert [failed(workspace) is not None for _ in range(3)] == [False, False, True]
    (told,) = bounds_now(workspace, record.state(system))
    assert "3 failures in a row, the last: no disk" in told and "orita retraining resume" in told
    with pytest.raises(UserError, match="stopped already"):
        record.stop(system, actor="ada", reason="again")
    record.resume(system, actor="ada", reason="mended")
    assert list(bounds_now(workspace, record.state(system))) == []
    assert failed(workspace) is None
    with pytest.raises(UserError, match="is not stopped"):
        record.resume(system, actor="ada", reason="again")


def test_an_end_is_recorded_once(tmp_path: Path) -> None:
    """Told again it changes nothing; what failed may end well by a retry."""
    workspace = surroundings(tmp_path)
    record, system = record_of(workspace), workspace.system.name
    decision = decided(workspace, version="v1.1.0")
    for outcome in ("failed", "failed", "kept", "kept", "failed"):
        record.end(system, decision.id, outcome, outcome, **WHO)
    ended = [event.reason for event in record.history(system) if event.type == "ended"]
    assert ended == ["failed", "kept"]


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        ({"runs": 2}, "2 trainings in 7 days, 2 are allowed"),
        ({"hours": 0.01}, "0.02 hours of training in 7 days, 0.01 are allowed"),
        ({"cost": 0.1, "cost_per_hour": 12}, "trainings cost 0.20 in 7 days, 0.1 is allowed"),
        ({"runs": 3}, ""),
        ({"runs": 2, "days": 0.5}, ""),
    ],
)
def test_a_budget_bounds(tmp_path: Path, budget: dict[str, Any], told: str) -> None:
    """Trainings, hours and cost of the period; those of before are free."""
    workspace = surroundings(tmp_path, budget=budget)
    for _ in range(2):
        failed(workspace, "kept")
    later = replace(workspace, clock=ManualClock(workspace.clock.now() + timedelta(days=1)))
    found = list(bounds_now(later, record_of(later).state(later.system.name)))
    assert ([told in each for each in found] == [True]) if told else (found == [])


def test_a_cool_down_holds(tmp_path: Path) -> None:
    """So long after a training began, however it ended."""
    workspace = surroundings(tmp_path, cool_down_hours=6)
    failed(workspace)
    state = record_of(workspace).state(workspace.system.name)
    (told,) = holds_now(workspace, state)
    assert "less than 6 h ago" in told
    later = replace(workspace, clock=ManualClock(workspace.clock.now() + timedelta(hours=6)))
    assert list(holds_now(later, state)) == []


def test_hours_add_up(tmp_path: Path) -> None:
    """Of a training that failed and was done again both are spent."""
    workspace = surroundings(tmp_path, budget={"hours": 1, "cost": 5, "cost_per_hour": 2})
    decision = decided(workspace, version="v1.1.0")
    system, budget = workspace.system.name, workspace.model.retraining.budget
    RetrainingRecord(workspace.home.control).end(system, decision.id, "failed", "no", seconds=30.0, **WHO)
    assert budget is not None
    used = spent(workspace, record_of(workspace).state(system), budget)
    assert used == {"runs": 1, "hours": 90 / 3600, "cost": 90 / 3600 * 2, "days": 7.0}
