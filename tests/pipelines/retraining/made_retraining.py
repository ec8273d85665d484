"""A home in which a model serves, and surroundings of retrainings that take no training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.features.small_system import NOW, declared_system

from orita.control.deployments import Deployments
from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.monitoring.config import MonitoringConfig, RetrainingTriggers
from orita.pipelines.config import ModelConfig
from orita.pipelines.retraining.config import RetrainingSection
from orita.pipelines.retraining.record import Decision, RetrainingRecord
from orita.pipelines.retraining.watching import record_of
from orita.pipelines.workspace import Workspace

__all__ = ["WHO", "decided", "deployed", "surroundings"]

WHO: Mapping[str, Any] = {"actor": "ada"}


def surroundings(folder: Path, *, triggers: Mapping[str, Any] | None = None, **retraining: Any) -> Workspace:
    """Return surroundings at `NOW` with declarations of triggers and of retraining."""
    model = ModelConfig(retraining=RetrainingSection.model_validate(retraining))
    monitoring = MonitoringConfig(retraining_triggers=RetrainingTriggers.model_validate(triggers or {}))
    made = Workspace(Home(folder), declared_system(), clock=ManualClock(NOW))
    return replace(made, model=model, monitoring=monitoring)


def deployed(workspace: Workspace, *versions: str) -> Deployments:
    """Deploy versions one after the other."""
    deployments = Deployments(workspace.home.control, workspace.home.tenant, workspace.clock)
    for version in versions:
        deployments.deploy(workspace.system.name, version, actor="ada", reason="better")
    return deployments


def decided(workspace: Workspace, *, version: str | None = None, retrain: bool = True, **fields: Any) -> Decision:
    """Record a decision that began a training, and a model that came of it."""
    record, system = record_of(workspace), workspace.system.name
    at = workspace.clock.now()
    decision = Decision(id=uuid7(), at=at, retrain=retrain, reasons=("because",), **fields)
    record.decide(system, decision, evidence={}, command=None, **WHO)
    if version is not None:
        record.trained(system, decision.id, version, seconds=60.0, data_to=at.isoformat(), **WHO)
    return _now(record, system, decision.id)


def _now(record: RetrainingRecord, system: str, id_: str) -> Decision:
    found = record.state(system).find(id_)
    assert found is not None
    return found
