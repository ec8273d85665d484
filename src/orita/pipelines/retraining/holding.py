"""What keeps a training from being begun although a condition asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from orita.delivery.rollouts.rollouts import Rollouts
from orita.pipelines.retraining.conditions import holding_alerts
from orita.pipelines.retraining.config import BudgetSection
from orita.pipelines.retraining.record import RetrainingState
from orita.pipelines.workspace import Workspace

__all__ = ["bounds_now", "holds_now", "spent"]


def bounds_now(workspace: Workspace, state: RetrainingState) -> Iterator[str]:
    """Yield what holds whoever asks: retraining is stopped, or its budget is spent."""
    if state.stopped is not None:
        yield (
            f"Retraining is stopped since {state.stopped.at:%Y-%m-%d %H:%M} UTC ({state.stopped.why}): "
            "'orita retraining resume' goes on."
        )
    budget = workspace.model.retraining.budget
    if budget is None:
        return
    used = spent(workspace, state, budget)
    period = f"in {budget.days:g} days"
    if budget.runs is not None and used["runs"] >= budget.runs:
        yield f"The budget is spent: {used['runs']} trainings {period}, {budget.runs} are allowed."
    if budget.hours is not None and used["hours"] >= budget.hours:
        yield f"The budget is spent: {used['hours']:.2f} hours of training {period}, {budget.hours:g} are allowed."
    if budget.cost is not None and used["cost"] >= budget.cost:
        yield f"The budget is spent: trainings cost {used['cost']:.2f} {period}, {budget.cost:g} is allowed."


def holds_now(workspace: Workspace, state: RetrainingState) -> Iterator[str]:
    """Yield what holds unless somebody asks for a training by hand: cool-down, a rollout, an alert."""
    hours, now = workspace.model.retraining.cool_down_hours, workspace.clock.now()
    last = state.decisions[0] if state.decisions else None
    if last is not None and now - last.at < timedelta(hours=hours):
        yield f"Cool-down: the last training began at {last.at:%Y-%m-%d %H:%M} UTC, less than {hours:g} h ago."
    rollouts = Rollouts(workspace.home.control, workspace.home.tenant, workspace.clock)
    under_way = rollouts.current(workspace.system.name).routing
    if under_way is not None:
        yield f"A rollout of {', '.join(under_way.plan.versions)} is under way ({under_way.id})."
    yield from (f"Held: {sentence}" for sentence in holding_alerts(workspace))


def spent(workspace: Workspace, state: RetrainingState, budget: BudgetSection) -> dict[str, Any]:
    """Return what trainings of the period took: runs, hours and cost."""
    begun = state.since(workspace.clock.now() - timedelta(days=budget.days))
    hours = sum(each.seconds for each in begun) / 3600
    return {"runs": len(begun), "hours": hours, "cost": hours * budget.cost_per_hour, "days": budget.days}
