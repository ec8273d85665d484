"""The commands about alerts, before a server that exposes what the test says."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.monitoring.alerting.exposing import exposing
from typer.testing import CliRunner

from orita.cli import alerts as _registers  # noqa: F401 - the commands
from orita.cli.app import app
from orita.core.errors import NotFound, UserError
from orita.monitoring.alerting.declaring import SHIPPED
from orita.monitoring.alerting.rules import (
    BURN,
    AnomalyRule,
    BudgetRule,
    BurnRateRule,
    ThresholdRule,
    runbook_of,
)

ROOT = Path(__file__).resolve().parents[2]
_RULES = "{LOW_THROUGHPUT: null, LONG_QUEUE: {kind: threshold, measure: {metric: queue}, above: 5, severity: critical}}"


def _orita(folder: Path, *words: str) -> tuple[int, Any]:
    base = ["--project", str(folder), "--home", str(folder / "home"), "--set", f"alerting.rules={_RULES}"]
    result = CliRunner().invoke(app, [*base, *words, "--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, json.loads(result.stdout.splitlines()[-1])


def test_from_a_look_to_its_history(tmp_path: Path) -> None:
    """check finds it, list and show tell of it, a second check that it is over; the exit code is for scripts."""
    with exposing("queue 9\n") as server:
        code, found = _orita(tmp_path, "alerts", "check", "--target", server.address)
        assert (code, [alert["name"] for alert in found["firing"]], found["new"]) == (1, ["LONG_QUEUE"], 1)
        (listed,) = _orita(tmp_path, "alerts", "list")[1]["alerts"]
        assert listed["state"] == "firing" and Path(listed["evidence"]).exists()
        server.text = "queue 1\n"
        code, found = _orita(tmp_path, "alerts", "check", "--target", server.address)
        assert (code, len(found["recovered"]), found["unread"]) == (0, 1, {})
    assert _orita(tmp_path, "alerts", "list")[1]["alerts"] == []
    (over,) = _orita(tmp_path, "alerts", "list", "--all")[1]["alerts"]
    shown = _orita(tmp_path, "alerts", "show", over["id"][:6])[1]
    assert [line["event"] for line in shown["history"]] == ["firing", "sent", "resolved", "sent"]


def test_words_for_people(tmp_path: Path) -> None:
    """Without --json the same in tables and sentences."""
    base = ["--project", str(tmp_path), "--home", str(tmp_path / "home"), "--set", f"alerting.rules={_RULES}"]
    with exposing("queue 9\n") as server:
        checked = CliRunner().invoke(
            app, [*base, "alerts", "check", "--target", server.address, "--target", "127.0.0.1:1"]
        )
    assert "127.0.0.1:1 cannot be read" in checked.stdout and "1 of them new" in checked.stdout
    assert "LONG_QUEUE" in CliRunner().invoke(app, [*base, "alerts", "list"]).stdout
    shown = CliRunner().invoke(app, [*base, "alerts", "show", "LONG_QUEUE"]).stdout
    assert "docs/runbook.md#a-limit-is-crossed" in shown and "firing" in shown


def test_a_sink_is_tried_out(tmp_path: Path) -> None:
    """A test and its end arrive; what does not arrive is said, with exit code 1; what is not there is an error."""
    with exposing() as webhook:
        where = ("--set", f"alerting.webhook=http://{webhook.address}/x", "--set", "alerting.attempts=1")
        assert _orita(tmp_path, *where, "alerts", "test", "webhook") == (
            0,
            {"sink": "webhook", "arrived": True, "error": None},
        )
        assert [json.loads(body)["alerts"][0]["status"] for _, _, body in webhook.posted] == ["firing", "recovered"]
        webhook.status = 404
        code, told = _orita(tmp_path, *where, "alerts", "test", "webhook")
        assert code == 1 and "answered 404" in told["error"]
    with pytest.raises(UserError, match="no sink 'slakc' is configured"):
        _orita(tmp_path, "alerts", "test", "slakc")
    with pytest.raises(NotFound, match="there is no alert 'X1'"):
        _orita(tmp_path, "alerts", "show", "X1")


def test_the_loop_runs_until_it_is_stopped(tmp_path: Path) -> None:
    """It tells of the change, and SIGTERM ends it in order."""
    with exposing("queue 9\n") as server:
        options = ["--set", f"alerting.rules={_RULES}", "--set", "alerting.interval=0.1"]
        command = [
            sys.executable,
            "-m",
            "orita",
            "--project",
            str(tmp_path),
            "--home",
            str(tmp_path / "home"),
            *options,
        ]
        process = subprocess.Popen(
            [*command, "alerts", "run", "--target", server.address, "--json"], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        server.text = "queue 1\n"
        second = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        process.stdout.close()
    assert [alert["name"] for alert in first["firing"]] == ["LONG_QUEUE"]
    assert [alert["name"] for alert in second["recovered"]] == ["LONG_QUEUE"]


def test_every_alert_s_runbook_has_its_entry() -> None:
    """The entries that shipped rules and kinds of rules link to are headings of the runbook."""
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w\- ]", "", found.lower()).replace(" ", "-") for found in re.findall(r"^#+ (.+)$", text, re.M)
    }
    kinds = (ThresholdRule, BurnRateRule, AnomalyRule, BudgetRule)
    linked = (
        [runbook_of(kind.entry) for kind in kinds] + [rule["runbook"] for rule in SHIPPED.values()] + [runbook_of(BURN)]
    )
    assert {link.partition("#")[2] for link in linked} <= headings
