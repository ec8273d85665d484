"""What there is, in a few lines: events, training set, champion, predictions, alerts."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from orita.control.deployments import Deployments
from orita.core.errors import NotFound
from orita.events.lake import Lake
from orita.events.predictions import prediction_log
from orita.features.training_sets.training_set import latest_training_set
from orita.monitoring.alerting.book import AlertBook
from orita.pipelines.monitoring import latest_report
from orita.pipelines.workspace import Workspace

__all__ = ["state_of"]


def state_of(workspace: Workspace) -> dict[str, Any]:
    """Return the state of a system as plain values; parts that do not exist yet are None."""
    home, system = workspace.home, workspace.system.name
    lake = Lake(home)
    table = workspace.system.source.name
    try:
        training_set = latest_training_set(home.training_sets, system)
    except NotFound:
        rows = None
    else:
        rows = {name: split.rows for name, split in training_set.splits.items()}
    with closing(workspace.generations()) as generations:
        online = generations.current()
    deployed = Deployments(home.control, home.tenant, workspace.clock).current(system)
    report = latest_report(workspace)
    with closing(AlertBook(workspace.monitoring.alerting.book(home.reports))) as book:
        firing = [alert for alert in book.alerts() if alert.firing]
    return {
        "system": system,
        "home": str(home.root),
        "events": lake.snapshot(table).rows if lake.exists(table) else None,
        "training_rows": rows,
        "online_features": {"events": online.events, **online.records} if online else None,
        "champion": f"{deployed.version} since {deployed.at:%Y-%m-%d %H:%M} UTC" if deployed else None,
        "predictions": len(prediction_log(home, system=system, columns=["request_id"])),
        "latest_report": report["at"] if report else None,
        "alerts_firing": len(firing),
    }
