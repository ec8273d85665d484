"""Who is told of what retraining does by itself: the log, and the sinks of alerts."""

from __future__ import annotations

from typing import Literal

import structlog

from orita.monitoring.alerting.rules import runbook_of
from orita.monitoring.alerting.states import Signal
from orita.monitoring.alerts import Alert
from orita.pipelines.telling import tell
from orita.pipelines.workspace import Workspace

__all__ = ["ROLLED_BACK", "STOPPED", "tell_over", "tell_rolled_back", "tell_stopped"]

STOPPED = "RETRAINING_STOPPED"
ROLLED_BACK = "MODEL_ROLLED_BACK"
_SHOWN_BY = "orita retraining history"

_log = structlog.stdlib.get_logger("orita.pipelines")


def tell_stopped(workspace: Workspace, why: str) -> None:
    """Say that no model is trained any more until somebody resumes it."""
    system = workspace.system.name
    _log.error("retraining_stopped", alert=True, system=system, why=why)
    tell(workspace, [_signal(workspace, STOPPED, f"Retraining of {system} stopped: {why}.", "critical")])


def tell_rolled_back(workspace: Workspace, version: str, why: str) -> None:
    """Say that a promoted version was taken back."""
    system = workspace.system.name
    _log.error("promotion_rolled_back", alert=True, system=system, version=version, why=why)
    tell(workspace, [_signal(workspace, ROLLED_BACK, f"{version} of {system} was taken back: {why}.", "warning")])


def tell_over(workspace: Workspace, *names: str) -> None:
    """Say that alerts are over; of those that never fired nobody hears."""
    tell(workspace, [_signal(workspace, name, "It is over.", "warning", active=False) for name in names])


def _signal(
    workspace: Workspace, name: str, summary: str, severity: Literal["warning", "critical"], *, active: bool = True
) -> Signal:
    at = workspace.clock.now()
    subject = workspace.system.name
    return Signal(Alert(name, subject, severity, summary, None, None, _SHOWN_BY, runbook_of(name), at), active)
