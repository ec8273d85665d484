"""What is kept of an experiment, and what each event makes of it.

draft → running → stopped
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orita.control.aggregates import Kind
from orita.control.events import ControlEvent
from orita.delivery.experiments.declarations import ExperimentPlan
from orita.delivery.experiments.rollout_splits import RolloutSplit

__all__ = ["EXPERIMENT", "KeptExperiment", "Started", "Status", "Stopped"]

Status = Literal["draft", "running", "stopped"]


class KeptExperiment(Struct, frozen=True, kw_only=True):
    """An experiment and where it is in its life.

    Attributes:
        plan: as declared.
        status: see the module.
        started_at: exposures count from then on.
        stopped_at: exposures count before then.
        winner: the variant that was chosen, None for none.
        conclusion: why it was stopped.
        slices: the buckets of its layer that it owns, while it runs.
        rollout: the split that it measures, of an experiment on the prediction log that was started.
    """

    plan: ExperimentPlan
    status: Status = "draft"
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    winner: str | None = None
    conclusion: str = ""
    slices: tuple[tuple[int, int], ...] = ()
    rollout: RolloutSplit | None = None


class Started(Struct, frozen=True, kw_only=True):
    """The body of ``started``."""

    at: datetime
    slices: tuple[tuple[int, int], ...] = ()
    rollout: RolloutSplit | None = None


class Stopped(Struct, frozen=True, kw_only=True):
    """The body of ``stopped``."""

    at: datetime
    winner: str | None = None


def _after(state: KeptExperiment | None, event: ControlEvent, body: Any) -> KeptExperiment | None:
    if event.type == "removed":
        return None
    if event.type == "declared":
        plan = msgspec.convert(body, ExperimentPlan)
        return KeptExperiment(plan=plan) if state is None else replace(state, plan=plan)
    assert state is not None, "an event of an experiment that was never declared"
    if event.type == "started":
        started = msgspec.convert(body, Started)
        return replace(state, status="running", started_at=started.at, slices=started.slices, rollout=started.rollout)
    stopped = msgspec.convert(body, Stopped)
    return replace(
        state, status="stopped", stopped_at=stopped.at, winner=stopped.winner, conclusion=event.reason, slices=()
    )


EXPERIMENT = Kind(
    "experiment",
    KeptExperiment,
    ("declared", "started", "stopped", "removed"),
    _after,
    goes_back="orita experiments declare, start or stop",
)
