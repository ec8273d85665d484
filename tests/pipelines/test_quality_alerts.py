"""What an ETL run finds wrong with data is an alert: told once, by table, and taken back when the data are sound."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from tests.monitoring.expectations.orders import START, orders
from tests.monitoring.watched_system import answered, draw, logged, reference_of, sample_of

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.events.lake import Lake
from orita.monitoring.alerting.book import AlertBook, KnownAlert
from orita.monitoring.alerting.declaring import read_rules
from orita.monitoring.config import AlertingConfig, MonitoringConfig, PerformanceConfig
from orita.monitoring.drift import feature_drift, prediction_drift
from orita.monitoring.performance import online_performance
from orita.monitoring.report import to_plain
from orita.pipelines import monitoring
from orita.pipelines.etl import validate_data
from orita.pipelines.quality_alerts import latest_quality
from orita.pipelines.workspace import Workspace
from orita.project import open_project

_RULES = (
    "{other_columns: ignore, columns: {price: {maximum: 100000}, order_id: {unique: true}, "
    "zip: {choices: [a], severity: warning}}}"
)
_DECLARED = f"tables: {{orders: {_RULES}, returns: {_RULES}}}"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A project whose lake has a sound day of orders and of returns."""
    lake = Lake(Home(tmp_path / "home"))
    for table in ("orders", "returns"):
        lake.append(table, orders(50).to_reader())
    (tmp_path / "quality.yaml").write_text(_DECLARED)
    made = open_project(tmp_path, home=tmp_path / "home").workspace()
    return replace(made, clock=ManualClock(START + timedelta(days=10)))


def _run(workspace: Workspace, day: int, table: str = "orders", price: float | None = None) -> dict[str, KnownAlert]:
    """Bring rows, let the task of the ETL look at them an hour later; return the alerts by subject."""
    rows = orders(50, day=day)
    if price is not None:
        rows = rows.set_column(5, "price", pa.array([price] * 50))
        rows = rows.set_column(0, "order_id", pa.array([day] * 50))
    Lake(workspace.home).append(table, rows.to_reader())
    assert isinstance(workspace.clock, ManualClock)
    workspace.clock.advance(timedelta(hours=1))
    validate_data(workspace, {"generate_data": {"folder": None}})
    return _alerts(workspace)


def _alerts(workspace: Workspace) -> dict[str, KnownAlert]:
    with closing(AlertBook(workspace.monitoring.alerting.book(workspace.home.reports))) as book:
        return {each.subject: each for each in book.alerts()}


def test_rows_that_are_not_as_declared_alarm_and_recover(workspace: Workspace) -> None:
    """One alert a table, with what failed, its page and its entry in the runbook; warnings alone raise none."""
    assert _run(workspace, 1) == {}
    system = workspace.system.name
    alert = _run(workspace, 2, price=1e6)[f"{system}/orders"]
    assert alert.firing
    assert (alert.name, alert.alert["severity"], alert.alert["value"]) == ("DATA_QUALITY", "warning", 2)
    assert alert.alert["runbook"] == "docs/runbook.md#data-quality"
    assert alert.alert["summary"].startswith("2 expectations of orders failed: column ")
    assert "break maximum" in alert.alert["summary"]
    assert "break maximum" in Path(alert.alert["evidence"]).read_text()
    assert _run(workspace, 3, "returns", price=2e6).keys() == {f"{system}/orders", f"{system}/returns"}
    states = {subject: each.condition.state for subject, each in _run(workspace, 4).items()}
    assert states == {f"{system}/orders": "resolved", f"{system}/returns": "firing"}


def test_what_is_declared_no_more_is_over(workspace: Workspace) -> None:
    """A table that is taken out of the file is not watched any more; put back, it is judged from its last check on."""
    assert workspace.folder is not None
    assert _run(workspace, 2, price=1e6)[f"{workspace.system.name}/orders"].firing
    (workspace.folder / "quality.yaml").write_text(f"tables: {{returns: {_RULES}}}")
    assert not _run(workspace, 3)[f"{workspace.system.name}/orders"].firing
    (workspace.folder / "quality.yaml").write_text(_DECLARED)
    assert _run(workspace, 4)[f"{workspace.system.name}/orders"].firing
    assert not _run(workspace, 5)[f"{workspace.system.name}/orders"].firing


def test_a_rule_changes_the_alert(workspace: Workspace) -> None:
    """``DATA_QUALITY`` is declared like alerts of drift: another severity, or none of them."""
    rules = {"DATA_QUALITY": {"kind": "quality", "severity": "critical"}}
    alerting = AlertingConfig(rules=read_rules(rules))
    loud = replace(workspace, monitoring=MonitoringConfig(alerting=alerting))
    assert _run(loud, 2, price=1e6)[f"{workspace.system.name}/orders"].alert["severity"] == "critical"
    silent = replace(workspace, home=Home(workspace.home.root.parent / "other"))
    silent = replace(
        silent, monitoring=MonitoringConfig(alerting=AlertingConfig(rules=read_rules({"DATA_QUALITY": None})))
    )
    assert _run(silent, 2, price=1e6) == {}


def test_monitoring_is_told_what_was_found(workspace: Workspace) -> None:
    """Of each table its last check, errors and warnings apart; where nothing was new it stays as it was."""
    _run(workspace, 2, price=1e6)
    for _ in range(2):
        bad, fine = latest_quality(workspace)
        assert (bad.table, bad.rows, len(bad.errors), len(bad.warnings)) == ("orders", 100, 2, 1)
        assert (fine.table, fine.errors) == ("returns", ())
        validate_data(workspace, {"generate_data": {"folder": None}})


def test_the_monitoring_run_assesses_it(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its report and its alerts have what the last ETL found, and say so again until the data are mended."""
    _run(workspace, 2, price=1e6)
    rng = np.random.default_rng(1)
    rows = draw(rng, 100)
    reference, recent = reference_of(draw(rng, 100)), sample_of(rows)
    told = online_performance(logged(rows), answered(logged(rows), lambda s: s), PerformanceConfig(), test_auc={})
    drift = workspace.monitoring.drift_detection
    results = {
        "load_reference_data": {"version": "v1.0.0"},
        "load_recent_predictions": {"start": "2024-03-13T00:00:00+00:00", "end": "2024-03-14T00:00:00+00:00"},
        "compute_feature_drift": to_plain(feature_drift(reference, recent, drift)),
        "compute_prediction_drift": to_plain(prediction_drift(reference, recent, drift)),
        "evaluate_online_performance": to_plain(told),
    }
    package = SimpleNamespace(metadata=SimpleNamespace(training_date="2024-03-10T00:00:00+00:00"))
    monkeypatch.setattr(monitoring, "_champion", lambda _: SimpleNamespace(package=None))
    monkeypatch.setattr(monitoring, "load_package", lambda _: package)
    said = monitoring.generate_alerts(workspace, results)
    assert [(alert["name"], alert["subject"]) for alert in said["alerts"]] == [("DATA_QUALITY", "feed/orders")]
    assert said["new"] == 0  # the ETL told it
    report = monitoring.latest_report(workspace)
    assert report is not None
    assert [table["table"] for table in report["quality"]] == ["orders", "returns"]
    _run(workspace, 3)
    assert monitoring.generate_alerts(workspace, results)["alerts"] == []
