"""Who is told that a run of a pipeline failed: once a failed run, and of its end when the pipeline ran well again.

Runs tell of themselves by events, in order and at least once; this is a listener to them. Of one that was refused
before it began there is no event: whoever asked for it says so. Which failed runs still wait for a good one is in a
small file beside the journal, so that a run that ends well with nothing to mend costs no look into the file of alerts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from orita.core.files import atomic_file
from orita.pipelines.graph.events import CloudEvent
from orita.pipelines.workspace import Workspace

__all__ = ["LISTENED_TO", "take_event", "tell_refused"]

LISTENED_TO = ("pipeline.run.failed", "pipeline.run.completed")
"""Types of events."""

_NAME = "PIPELINE_FAILED"


def take_event(workspace: Workspace, event: CloudEvent) -> None:
    """Tell the sinks of a run that failed, or that a pipeline which had failed ran well again.

    A run within another one that fails is told as a failure of that. Of a run that another scheduler leads that one
    tells: it knows whether it will try again.
    """
    graph, run, at = event.data["graph"], event.data["run"], datetime.fromisoformat(event.time)
    shown_by = f"orita runs show {run}"
    failing = _failing(workspace)
    if event.type == "pipeline.run.completed":
        if graph in failing:
            summary = f"{_called(graph)} ran well: run {run}."
            _tell(workspace, graph, failing.pop(graph), summary, shown_by, at, fires=False)
            _keep(workspace, failing)
    elif event.data["parent"] is None and "led_elsewhere" not in event.data:
        where = f" in {event.data['task']}" if "task" in event.data else ""
        summary = f"Run {run} of {_called(graph)} failed{where}: {event.data['error']}"
        _tell(workspace, graph, [run], summary, shown_by, at, fires=True)
        _keep(workspace, {**failing, graph: sorted({*failing.get(graph, ()), run})})


def tell_refused(workspace: Workspace, graph: str, cause: str, error: str) -> None:
    """Tell the sinks of a run that was asked for and did not begin; it is over when the pipeline ran well again.

    Args:
        workspace: the surroundings.
        graph: the id of the pipeline's graph.
        cause: what asked for the run.
        error: a sentence.
    """
    summary = f"A run of {_called(graph)} did not begin ({cause}): {error}"
    failing = _failing(workspace)
    _tell(workspace, graph, [cause], summary, "orita schedule --list", workspace.clock.now(), fires=True)
    _keep(workspace, {**failing, graph: sorted({*failing.get(graph, ()), cause})})


def _tell(
    workspace: Workspace, graph: str, runs: Iterable[str], summary: str, shown_by: str, at: datetime, *, fires: bool
) -> None:
    # Here, as they bring SciPy, for which a run that ends well need not wait.
    from orita.monitoring.alerting.rules import runbook_of
    from orita.monitoring.alerts import Alert, Assessment
    from orita.monitoring.dispatch import signals_of
    from orita.pipelines.telling import tell

    subject = f"{workspace.system.name}/{_called(graph)}"
    alert = Alert(_NAME, subject, "warning", summary, None, None, shown_by, runbook_of(_NAME), at)
    assessment = Assessment((alert,) if fires else (), frozenset({alert.key}), () if fires else (alert,))
    signals = signals_of(assessment, workspace.monitoring.alerting.rules)
    # Each failed run is an alert of its own: told at once, and not only when the one before was told a day ago. It is
    # looked at once, so nothing is waited for.
    at_once = [replace(each, wait_seconds=0.0, keep_seconds=0.0) for each in signals]
    tell(workspace, [replace(each, labels={**each.labels, "run": run}) for run in runs for each in at_once])


def _called(graph: str) -> str:
    """Return what the command line calls a graph."""
    from orita.pipelines.runs import GRAPHS  # it imports the runner, which tells this module

    return next((name for name, id_ in GRAPHS.items() if id_ == graph), graph)


def _failing(workspace: Workspace) -> dict[str, list[str]]:
    """Return the failed runs of each graph that has not run well since."""
    file = _file(workspace)
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def _keep(workspace: Workspace, failing: dict[str, list[str]]) -> None:
    with atomic_file(_file(workspace)) as partial:
        partial.write_text(json.dumps(failing, indent=1) + "\n", encoding="utf-8")


def _file(workspace: Workspace) -> Path:
    return workspace.home.runs / workspace.system.name / "failing.json"
