"""A run that fails is told to the sinks once, and its end when the pipeline runs well again, whatever is killed."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from tests.monitoring.mailbox import Mailbox, running_mailbox, smtp_of
from tests.pipelines.graph.graphs import made_workspace

from orita.core.errors import UserError
from orita.core.home import Home
from orita.monitoring.alerting.book import AlertBook, KnownAlert
from orita.monitoring.alerting.declaring import read_rules
from orita.monitoring.config import AlertingConfig, MonitoringConfig
from orita.pipelines.graph import Graph, RunOptions, RunReport, Task, failed_runs, run_graph, run_task
from orita.pipelines.graph.delivery import deliver
from orita.pipelines.graph.journal import open_journal
from orita.pipelines.workspace import Workspace


def _run(
    workspace: Workspace, error: str = "", *, graph: str = "etl_and_feature_engineering", **more: Any
) -> RunReport:
    """Carry out a graph of one task, which fails with a sentence, or does not."""

    def body(workspace: Workspace, results: Any) -> dict[str, Any]:
        if error:
            raise UserError(error)
        return {}

    return run_graph(Graph(graph, None, (Task("validate_data", body),)), workspace, RunOptions(**more))


def _fail(workspace: Workspace, error: str = "the disk is full.", **more: Any) -> None:
    with pytest.raises(UserError, match=error):
        _run(workspace, error, **more)


def _alerts(workspace: Workspace) -> list[KnownAlert]:
    with closing(AlertBook(workspace.monitoring.alerting.book(workspace.home.reports))) as book:
        return book.alerts()


def _subjects(box: Mailbox) -> list[str]:
    return [str(message_from_bytes(mail, policy=policy.default)["Subject"]) for mail in box.mails]


def test_a_failure_is_mailed_once_and_its_end_once(tmp_path: Path) -> None:
    """With the task, the sentence, the run and the runbook; each failed run is told, and all are over at once."""
    with running_mailbox() as box:
        alerting = AlertingConfig(email="a@example.org", smtp=smtp_of(box))
        workspace = replace(made_workspace(tmp_path), monitoring=MonitoringConfig(alerting=alerting))
        _run(workspace)
        assert box.mails == []
        _fail(workspace)
        failed = "Orita: 1 firing: PIPELINE_FAILED feed/etl"
        assert _subjects(box) == [failed]
        text = message_from_bytes(box.mails[0], policy=policy.default).get_content()
        assert "of etl failed in validate_data: the disk is full." in text
        assert "docs/runbook.md#pipeline-failed" in text
        assert "evidence: orita runs show " in text
        _run(workspace, graph="model_training")
        _fail(workspace, "still full.")
        assert _subjects(box) == [failed, failed]
        _run(workspace)
        _run(workspace)
        assert _subjects(box) == [failed, failed, "Orita: 2 recovered: PIPELINE_FAILED feed/etl and 1 more"]
    assert [alert.condition.state for alert in _alerts(workspace)] == ["resolved", "resolved"]


def test_a_killed_process_tells_what_it_had_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure is in the journal before anyone is told: the next delivery tells it, and not twice."""
    workspace = made_workspace(tmp_path)
    with monkeypatch.context() as patched:

        def killed(*_: object) -> None:
            raise SystemExit

        # Once the sinks were told, and before the listener's note of it.
        patched.setattr(failed_runs, "_keep", killed)
        with pytest.raises(SystemExit):
            _run(workspace, "the disk is full.")
    (alert,) = _alerts(workspace)
    assert alert.firing
    with closing(open_journal(workspace.home, workspace.system.name, workspace.clock)) as journal:
        deliver(workspace, journal)
    (alert,) = _alerts(workspace)
    with closing(AlertBook(workspace.monitoring.alerting.book(workspace.home.reports))) as book:
        assert [line.event for line in book.history(alert.fingerprint)] == ["firing", "sent"]
    _run(workspace)
    assert [alert.condition.state for alert in _alerts(workspace)] == ["resolved"]


def test_a_run_within_another_is_told_as_that(tmp_path: Path) -> None:
    """Retraining runs ETL: one trouble is one alert, of what was asked for."""
    workspace = made_workspace(tmp_path)

    def retrain(workspace: Workspace, results: Any) -> dict[str, Any]:
        _run(workspace, "no rows came.")
        return {}

    graph = Graph("automated_retraining", None, (Task("trigger_etl_dag", retrain),))
    with pytest.raises(UserError):
        run_graph(graph, workspace)
    assert [alert.subject for alert in _alerts(workspace)] == ["feed/retraining"]


def test_another_scheduler_tells_of_its_own_runs(tmp_path: Path) -> None:
    """It may try again, and has its own mail: nothing is told here but the end of what had failed before."""
    workspace = made_workspace(tmp_path)

    def fails(workspace: Workspace, results: Any) -> dict[str, Any]:
        raise UserError("no.")

    graph = "etl_and_feature_engineering"
    with pytest.raises(UserError, match=r"no\."):
        run_task(Graph(graph, None, (Task("a", fails),)), workspace, "a", "scheduled__1")
    assert _alerts(workspace) == []
    _fail(workspace)
    run_task(Graph(graph, None, (Task("a", lambda *_: {}),)), workspace, "a", "scheduled__2")
    assert [alert.condition.state for alert in _alerts(workspace)] == ["resolved"]


def test_what_was_cancelled_did_not_fail(tmp_path: Path) -> None:
    """Who stops a run knows it."""
    workspace = made_workspace(tmp_path)

    def stopped(workspace: Workspace, results: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_graph(Graph("g", None, (Task("a", stopped),)), workspace)
    assert _alerts(workspace) == []


def test_rules_change_it_and_switch_it_off(tmp_path: Path) -> None:
    """``kind: pipeline``: another severity for one pipeline, an alert more; null: none. Rules of quality take none.

    A run fails once, so that no time is waited for.
    """
    rules = {
        "PIPELINE_FAILED": {"kind": "pipeline", "severity": "info", "for": "1h", "keep": "1h"},
        "ETL_FAILED": {"kind": "pipeline", "only": ["etl"], "severity": "critical", "labels": {"team": "data"}},
        "ANY_QUALITY": {"kind": "quality"},
    }
    loud, silent = (
        replace(
            made_workspace(tmp_path),
            home=Home(tmp_path / name),
            monitoring=MonitoringConfig(alerting=AlertingConfig(rules=chosen)),
        )
        for name, chosen in (("a", read_rules(rules)), ("b", read_rules({"PIPELINE_FAILED": None})))
    )
    for workspace in (loud, silent):
        _fail(workspace)
        _fail(workspace, graph="model_training")
    told = sorted((alert.name, alert.subject, alert.alert["severity"]) for alert in _alerts(loud))
    assert told == [
        ("ETL_FAILED", "feed/etl", "critical"),
        ("PIPELINE_FAILED", "feed/etl", "info"),
        ("PIPELINE_FAILED", "feed/training", "info"),
    ]
    _run(loud)
    assert [alert.subject for alert in _alerts(loud) if alert.firing] == ["feed/training"]
    assert _alerts(silent) == []
