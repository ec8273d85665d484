"""Prometheus and Alertmanager for real: what is rendered is started, a fault walks to a webhook, and its end too."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy.sites import free_port, replicas, site_of
from tests.monitoring.alerting.exposing import Exposing, exposing

from orita.deploy import Site, render, write
from orita.monitoring.config import AlertingConfig

_PATIENCE = 90.0
_MISSING = [each for each in ("prometheus", "prometheus-alertmanager") if shutil.which(each) is None]
pytestmark = pytest.mark.skipif(bool(_MISSING), reason=f"not here: sudo apt-get install {' '.join(_MISSING)}")


@contextmanager
def _running(folder: Path, address: str, *command: str) -> Iterator[None]:
    """Run a program that answers ``/-/ready`` at *address*."""
    with (folder / f"{command[0]}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait(lambda: _get(address, "/-/ready") is not None, process)
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)


def _get(address: str, path: str) -> Any:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=30) as answer:
            text = answer.read().decode()
    except (OSError, urllib.error.HTTPError):
        return None
    return json.loads(text) if text.startswith(("{", "[")) else text


def _wait(until: Any, process: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not until():
        assert process is None or process.poll() is None, "the program ended"
        assert time.monotonic() < deadline, f"not within {_PATIENCE:g} s"
        time.sleep(0.05)


def _quick(folder: Path) -> None:
    """Let seconds pass where the rendered files have minutes: scraping, waiting, grouping."""
    for path in ("prometheus/prometheus.yaml", "prometheus/rules/orita.yaml", "alertmanager/alertmanager.yaml"):
        content = yaml.safe_load((folder / path).read_text())
        if "global" in content and "scrape_interval" in content["global"]:
            content["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        if "route" in content:
            content["route"] |= {"group_wait": "1s", "group_interval": "1s"}
        for group in content.get("groups", []):
            group["interval"] = "1s"
            group["rules"] = [{**rule, "for": "1s"} if "alert" in rule else rule for rule in group["rules"]]
        (folder / path).write_text(yaml.safe_dump(content))


@contextmanager
def _watched(folder: Path, site: Site, alertmanager: str) -> Iterator[str]:
    """Start both programs with what is rendered for *site*; yield where Prometheus answers."""
    for target in ("prometheus", "alertmanager"):
        write(render(target, site), folder)
    _quick(folder)
    prometheus = f"127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        stack.enter_context(
            _running(
                folder,
                alertmanager,
                "prometheus-alertmanager",
                f"--config.file={folder / 'alertmanager/alertmanager.yaml'}",
                f"--storage.path={folder / 'alerts'}",
                f"--web.listen-address={alertmanager}",
                "--cluster.listen-address=",
            )
        )
        stack.enter_context(
            _running(
                folder,
                prometheus,
                "prometheus",
                f"--config.file={folder / 'prometheus/prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={prometheus}",
            )
        )
        yield prometheus


def _site(targets: list[str], webhook: Exposing, alertmanager: str, rules: Mapping[str, Any]) -> Site:
    alerting = {"webhook": f"http://{webhook.address}/hook", "alertmanager": f"http://{alertmanager}", "rules": rules}
    return replace(site_of(replicas=targets), alerting=AlertingConfig.model_validate(alerting))


def _told(webhook: Exposing, name: str) -> list[str]:
    bodies = [json.loads(body) for _, _, body in list(webhook.posted)]
    return [each["status"] for body in bodies for each in body["alerts"] if each["labels"]["alertname"] == name]


def test_a_fault_walks_to_a_webhook_and_recovers(tmp_path: Path) -> None:
    """Targets are up; a number beyond its limit is posted as firing, and when it is well again as resolved."""
    alertmanager = f"127.0.0.1:{free_port()}"
    rule = {"kind": "threshold", "measure": {"metric": "jobs_oldest_seconds"}, "above": 600, "severity": "critical"}
    with exposing("jobs_oldest_seconds 5\n") as server, exposing() as webhook:
        site = _site([server.address], webhook, alertmanager, {"LONG_QUEUE": {**rule, "summary": "{value} s"}})
        with _watched(tmp_path, site, alertmanager) as prometheus:
            _wait(lambda: _up(prometheus) == {server.address: "up"})
            assert _told(webhook, "LONG_QUEUE") == []
            server.text = "jobs_oldest_seconds 601\n"
            _wait(lambda: "firing" in _told(webhook, "LONG_QUEUE"))
            server.text = "jobs_oldest_seconds 5\n"
            _wait(lambda: "resolved" in _told(webhook, "LONG_QUEUE"))
    posted = [each for _, _, body in webhook.posted for each in json.loads(body)["alerts"]]
    first = next(each for each in posted if each["labels"]["alertname"] == "LONG_QUEUE")
    assert first["annotations"]["summary"] == "601 s"
    assert first["annotations"]["runbook_url"] == "docs/runbook.md#a-limit-is-crossed"


def _up(prometheus: str) -> dict[str, str]:
    found = _get(prometheus, "/api/v1/targets")
    targets = found["data"]["activeTargets"] if found else []
    return {each["labels"]["instance"]: each["health"] for each in targets}


@pytest.mark.slow
def test_a_server_that_dies_is_told_of(tmp_path: Path) -> None:
    """Two real servers: both are up and known by their models; one is killed, told of by its name, and comes back."""
    alertmanager = f"127.0.0.1:{free_port()}"
    with replicas(tmp_path / "servers") as servers, exposing() as webhook:
        site = _site([each.address for each in servers], webhook, alertmanager, {})
        (tmp_path / "watch").mkdir()
        with _watched(tmp_path / "watch", site, alertmanager) as prometheus:
            _wait(lambda: _up(prometheus) == dict.fromkeys((each.address for each in servers), "up"))
            servers[0].kill()
            _wait(lambda: "firing" in _told(webhook, "SERVER_DOWN"))
            servers[0].restart()
            _wait(lambda: "resolved" in _told(webhook, "SERVER_DOWN"))
            rules = _get(prometheus, "/api/v1/rules")["data"]["groups"]
            assert {rule["health"] for group in rules for rule in group["rules"]} == {"ok"}


def test_the_loop_hands_its_alerts_to_a_real_alertmanager(tmp_path: Path) -> None:
    """What Orita's own loop tells is an alert of Alertmanager, once however often it is told; then it is over."""
    from datetime import UTC, datetime, timedelta

    from orita.monitoring.sinks import AlertmanagerSink, Notice

    address = f"127.0.0.1:{free_port()}"
    now = datetime.now(UTC)
    content = {
        "name": "LONG_QUEUE",
        "subject": "feed",
        "severity": "critical",
        "summary": "long",
        "value": 601.0,
        "threshold": 600.0,
        "evidence": "/reports/page.html",
        "runbook": "docs/runbook.md#a-limit-is-crossed",
        "at": now.isoformat(),
    }
    with exposing() as webhook:
        site = _site(["127.0.0.1:1"], webhook, address, {})
        with _watched(tmp_path, site, address):
            sink = AlertmanagerSink(f"http://{address}", timeout_seconds=60)
            for _ in range(2):
                sink.send([Notice("firing", content, now, {"system": "feed"})])
            _wait(lambda: _told(webhook, "LONG_QUEUE") == ["firing"])
            (alert,) = [each for each in _get(address, "/api/v2/alerts") if each["labels"]["alertname"] == "LONG_QUEUE"]
            assert alert["annotations"]["evidence"] == "/reports/page.html"
            sink.send([Notice("recovered", content, now, {"system": "feed"}, now + timedelta(seconds=1))])
            _wait(lambda: "resolved" in _told(webhook, "LONG_QUEUE"))
