"""Each declared condition holds, does not, or was answered by a training already; with the figures it rests on."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.features.small_system import NOW, events, ingested
from tests.pipelines.retraining.made_retraining import decided, surroundings
from tests.pipelines.test_retraining import Card, Entry

from orita.core.clock import ManualClock
from orita.monitoring.alerting.book import AlertBook
from orita.monitoring.alerting.states import Signal
from orita.monitoring.alerts import Alert
from orita.pipelines.graph import Graph, Task, run_graph
from orita.pipelines.retraining.conditions import Condition, conditions_now, holding_alerts
from orita.pipelines.retraining.holding import holds_now
from orita.pipelines.retraining.record import Decision, RetrainingState
from orita.pipelines.workspace import Workspace

OFF: dict[str, Any] = {"feature_drift": False, "performance_degradation": False, "scheduled": None}


@dataclass
class Served:
    """A package, as far as conditions look at it."""

    metadata: Any
    extra: dict[str, str]
    version: str = "v1.1.0"


def served(days: float, rows_until: float) -> Served:
    """Return a package that was trained so many days ago, on rows until so many hours ago."""
    card = Card({"start": "2024-01-01T00:00:00Z", "end": (NOW - timedelta(hours=rows_until)).isoformat()})
    card.training_date = (NOW - timedelta(days=days)).isoformat()  # type: ignore[attr-defined]
    return Served(card, {})


def found(workspace: Workspace, package: Served, last: Decision | None = None) -> dict[str, Condition]:
    """Return what is declared, by name."""
    entry: Any = Entry("v1.1.0")
    made: Any = package
    return {each.name: each for each in conditions_now(workspace, entry, made, last)}


def fired(workspace: Workspace, name: str) -> None:
    """Let an alert fire now."""
    alert = Alert(name, "small", "warning", "too many errors", 0.1, 0.05, "", "docs/runbook.md", workspace.clock.now())
    with closing(AlertBook(workspace.monitoring.alerting.book(workspace.home.reports))) as book:
        book.observe([Signal(alert, True)], {}, workspace.clock.now())


@pytest.mark.parametrize(("days", "state"), [(31, "holds"), (29, "not")])
def test_age(tmp_path: Path, days: float, state: str) -> None:
    """A champion that is older than declared asks."""
    workspace = surroundings(tmp_path, triggers={**OFF, "max_age_days": 30})
    condition = found(workspace, served(days, 1))["max_age_days"]
    assert (condition.state, condition.evidence) == (state, {"days": days, "limit": 30.0})


def test_new_rows_count_from_what_was_learned(tmp_path: Path) -> None:
    """Labelled rows later than the champion's, and than those of the last training, whether it was promoted or not."""
    workspace = surroundings(tmp_path / "home", triggers={**OFF, "new_rows": 30})
    ingested(workspace.home, tmp_path, events(100), workspace.system)  # ten minutes apart, the last an hour ago
    condition = found(workspace, served(1, 6.01))["new_rows"]
    assert (condition.state, condition.evidence["rows"]) == ("holds", 31)
    assert found(workspace, served(1, 5))["new_rows"].state == "not"
    last = Decision(id="x", at=NOW, retrain=True, data_to=(NOW - timedelta(hours=2)).isoformat())
    condition = found(workspace, served(1, 6.01), last)["new_rows"]
    assert (condition.state, condition.evidence["rows"]) == ("not", 6)


def test_an_alert_asks_once_for_each_time_it_fires(tmp_path: Path) -> None:
    """One that began to fire before the last training has been answered."""
    workspace = surroundings(tmp_path, triggers={**OFF, "alerts": ["HIGH_ERROR_RATE"]})
    assert found(workspace, served(1, 1))["alert HIGH_ERROR_RATE"].state == "not"
    fired(workspace, "HIGH_ERROR_RATE")
    condition = found(workspace, served(1, 1))["alert HIGH_ERROR_RATE"]
    assert (condition.state, condition.sentence) == ("holds", "alert HIGH_ERROR_RATE: too many errors")
    after = Decision(id="x", at=NOW + timedelta(hours=1), retrain=True)
    assert found(workspace, served(1, 1), after)["alert HIGH_ERROR_RATE"].state == "answered"


def test_an_alert_holds(tmp_path: Path) -> None:
    """While it fires nothing is trained: what it is about would be learned."""
    workspace = surroundings(tmp_path, triggers={**OFF, "hold_while": ["DATA_BROKEN"]})
    assert holding_alerts(workspace) == []
    fired(workspace, "DATA_BROKEN")
    assert list(holds_now(workspace, RetrainingState())) == ["Held: DATA_BROKEN small fires: too many errors"]


@pytest.mark.parametrize(("failed", "state"), [(True, "holds"), (False, "not")])
def test_data_quality(tmp_path: Path, failed: bool, state: str) -> None:
    """What the last ingest brought and was not as declared asks, until a training began after it."""
    workspace = surroundings(tmp_path, triggers={**OFF, "data_quality": True})
    assert found(workspace, served(1, 1))["data_quality"].state == "unknown"
    findings = [{"sentence": "column 'price' was dropped: restore it.", "severity": "error"}]
    quality = {"interactions": {"failed": failed, "quarantined": 3, "findings": findings if failed else []}}
    run_graph(
        Graph("etl_and_feature_engineering", None, (Task("validate_data", lambda w, r: {"quality": quality}),)),
        workspace,
    )
    condition = found(workspace, served(1, 1))["data_quality"]
    assert condition.state == state
    assert condition.evidence["tables"] == {"interactions": 3}
    assert ("interactions: column 'price' was dropped" in condition.sentence) == failed
    later = replace(workspace, clock=ManualClock(NOW + timedelta(hours=1)))
    assert found(later, served(1, 1), decided(later))["data_quality"].state in ("answered", "not")


@pytest.mark.parametrize(
    ("version", "last_hours", "state"),
    [("v1.1.0", None, "holds"), ("v1.1.0", 1, "answered"), ("v1.0.0", None, "unknown")],
)
def test_a_report_is_answered_once(tmp_path: Path, version: str, last_hours: float | None, state: str) -> None:
    """What the latest report says of the champion asks, until a training began after it; of others it asks nothing."""
    workspace = surroundings(tmp_path, triggers={"scheduled": None})
    folder = workspace.home.reports / "monitoring"
    folder.mkdir(parents=True)
    sentence = "feature_drift: features changed (item_ctr)."
    report = {"model_version": version, "at": NOW.isoformat(), "decision": {"reasons": [sentence], "held": []}}
    (folder / "monitoring-small-20241120T120000.json").write_text(json.dumps(report))
    last = Decision(id="x", at=NOW + timedelta(hours=last_hours), retrain=True) if last_hours else None
    conditions = found(workspace, served(1, 1), last)
    assert conditions["feature_drift"].state == state
    assert conditions["performance_degradation"].state == ("unknown" if state == "unknown" else "not")
    assert str(conditions["feature_drift"].evidence["report"]).endswith("monitoring-small-20241120T120000.json")
