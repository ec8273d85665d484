"""The loop, before a server that exposes what the test says: from a number to a message, and to its end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.monitoring.alerting.exposing import Exposing, exposing

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.monitoring.alerting.watching import Look, Watch
from orita.monitoring.config import MonitoringConfig

_AT = datetime(2024, 11, 13, 4, tzinfo=UTC)
_OFF = dict.fromkeys(("HIGH_ERROR_RATE", "HIGH_LATENCY", "LOW_THROUGHPUT", "SERVER_DOWN"))
_LONG = [{"factor": 1, "long": "3d", "short": "6h"}]
_QUEUE = {"kind": "threshold", "measure": {"metric": "queue"}, "above": 50, "severity": "critical"}


class _Watched:
    """A loop with a server, a webhook and a clock of the test's own."""

    def __init__(self, folder: Path, server: Exposing, webhook: Exposing, alerting: Mapping[str, Any]) -> None:
        self.clock, self.server, self.webhook = ManualClock(_AT), server, webhook
        self.home = Home(folder)
        self.alerting = {"webhook": f"http://{webhook.address}/hook", "timeout_seconds": 60, **alerting}

    def looks(self, *values: Mapping[str, float], every: float = 15.0) -> list[Look]:
        """Look once for each of *values*, *every* seconds apart; each time by a loop that just began."""
        looks = []
        for value in values:
            self.clock.advance(timedelta(seconds=every))
            self.server.text = "".join(f"{name} {number:g}\n" for name, number in value.items())
            config = MonitoringConfig.model_validate({"alerting": self.alerting})
            with closing(Watch(self.home, "feed", config, [self.server.address], self.clock)) as watch:
                looks.append(watch.look())
        return looks

    @property
    def told(self) -> list[tuple[str, str]]:
        return [
            (alert["status"], alert["name"])
            for _, _, body in self.webhook.posted
            for alert in json.loads(body)["alerts"]
        ]


@pytest.fixture
def servers() -> Iterator[tuple[Exposing, Exposing]]:
    """A server with metrics, and one that takes webhooks."""
    with exposing() as server, exposing() as webhook:
        yield server, webhook


def _errors(minutes: float, *, failed: float = 0.0, after: tuple[float, float] = (0, 0)) -> list[dict[str, float]]:
    """Return looks of a server that has ten requests a second, of which the share *failed* fail."""
    begun, broken = after
    count = round(minutes * 4)
    return [
        {"requests_total": begun + 150.0 * n, "prediction_errors_total": broken + 150.0 * failed * n}
        for n in range(1, count + 1)
    ]


def test_errors_become_a_message_and_its_end(tmp_path: Path, servers: tuple[Exposing, Exposing]) -> None:
    """6 % of requests fail: after two minutes one message, with evidence that exists; then one that it is over."""
    watched = _Watched(tmp_path, *servers, alerting={"rules": {"LOW_THROUGHPUT": None, "HIGH_LATENCY": None}})
    watched.looks(*_errors(5))
    assert watched.told == []
    watched.looks(*_errors(8, failed=0.06, after=(3000, 0)))
    assert watched.told == [("firing", "HIGH_ERROR_RATE")]
    (_, headers, body) = servers[1].posted[0]
    (alert,) = json.loads(body)["alerts"]
    assert alert["summary"].startswith("prediction_errors_total as a share of requests_total is 0.0")
    assert alert["runbook"] == "docs/runbook.md#a-request-failed"
    page = Path(alert["evidence"]).read_text()
    assert "HIGH_ERROR_RATE feed" in page and "<svg" in page
    assert len(headers["Idempotency-Key"]) == 32
    watched.looks(*_errors(3, after=(7800, 288)))
    assert watched.told == [("firing", "HIGH_ERROR_RATE"), ("recovered", "HIGH_ERROR_RATE")]


def test_a_server_that_is_away_is_told_by_its_name(tmp_path: Path, servers: tuple[Exposing, Exposing]) -> None:
    """A server that answers 503 for a minute is down; once it answers, that is over."""
    watched = _Watched(tmp_path, *servers, alerting={})
    watched.looks(*_errors(1))
    servers[0].status = 503
    (*_, last) = watched.looks(*_errors(2))
    assert list(last.unread.values()) == ["answered 503 Service Unavailable"]
    assert watched.told == [("firing", "SERVER_DOWN")]
    (alert,) = json.loads(servers[1].posted[0][2])["alerts"]
    assert alert["summary"] == f"{servers[0].address} does not answer."
    servers[0].status = 200
    watched.looks(*_errors(1))
    assert watched.told[-1] == ("recovered", "SERVER_DOWN")


def test_a_budget_that_burns_pages_and_a_slow_one_warns(tmp_path: Path, servers: tuple[Exposing, Exposing]) -> None:
    """2 % errors burn a budget of 0.1 % 20 times too fast: critical, in both windows; ended, the short one ends it."""
    slo = {"objective": 0.999, "bad": "prediction_errors_total", "total": "requests_total"}
    burn = [
        {"factor": 14.4, "long": "10m", "short": "1m"},
        {"factor": 1, "long": "20m", "short": "5m", "severity": "warning"},
    ]
    watched = _Watched(tmp_path, *servers, alerting={"rules": _OFF, "slos": {"served": {**slo, "burn": burn}}})
    (*_, last) = watched.looks(*_errors(9, failed=0.02))
    active = {signal.labels["severity"]: signal.alert for signal in last.signals if signal.active}
    assert set(active) == {"critical", "warning"}
    assert active["critical"].subject == "feed/served"
    assert "burns 1" in active["critical"].summary and active["critical"].severity == "critical"
    assert {name for _, name in watched.told} == {"ERROR_BUDGET_BURN"}
    (*_, last) = watched.looks(*_errors(2, after=(5400, 108)))
    assert [signal.labels["severity"] for signal in last.signals if signal.active] == ["warning"]


def test_slow_answers_burn_a_budget_too(tmp_path: Path, servers: tuple[Exposing, Exposing]) -> None:
    """An SLO of a histogram counts what is over its bound; a bound that is no bucket's judges nothing."""
    slo = {"objective": 0.9, "histogram": "h", "within": 0.25, "burn": [{"factor": 2, "long": "2m", "short": "1m"}]}
    looks = [
        {'h_bucket{le="0.25"}': 50.0 * n, 'h_bucket{le="+Inf"}': 100.0 * n, "h_count": 100.0 * n} for n in range(12)
    ]
    watched = _Watched(tmp_path, *servers, alerting={"rules": _OFF, "slos": {"fast": slo}})
    (*_, last) = watched.looks(*looks)
    (signal,) = last.signals
    assert signal.active and signal.alert.value == pytest.approx(5)
    sound = _Watched(tmp_path / "sound", *servers, alerting={"rules": _OFF, "slos": {"fast": {**slo, "burn": _LONG}}})
    (*_, last) = sound.looks(*({**look, 'h_bucket{le="0.25"}': look["h_count"]} for look in looks))
    assert [(signal.active, signal.alert.value) for signal in last.signals] == [(False, 0)], (
        "what is not known is no fault"
    )
    other = _Watched(tmp_path / "other", *servers, alerting={"rules": _OFF, "slos": {"fast": {**slo, "within": 0.3}}})
    assert other.looks(*looks)[-1].signals == ()


def test_a_quota_warns_before_it_is_spent(tmp_path: Path, servers: tuple[Exposing, Exposing]) -> None:
    """Four fifths of a daily budget of a counter."""
    rule = {"kind": "budget", "measure": {"metric": "usd_total", "stat": "increase", "over": "1d"}, "limit": 50}
    watched = _Watched(tmp_path, *servers, alerting={"rules": {**_OFF, "COST": {**rule, "share": 0.8}}})
    watched.looks({"usd_total": 100}, {"usd_total": 139}, every=3600)
    assert watched.told == []
    watched.looks({"usd_total": 141}, every=3600)
    assert watched.told == [("firing", "COST")]
    assert "41 of 50 is spent within 1 day, 82.0%" in json.loads(servers[1].posted[0][2])["alerts"][0]["summary"]


def test_an_hour_unlike_the_last_24_is_an_anomaly(tmp_path: Path, servers: tuple[Exposing, Exposing]) -> None:
    """A point an hour is kept; the 25th is judged, and stays judged until the next."""
    rule = {"kind": "anomaly", "measure": {"metric": "queue", "aggregate": "max"}, "step": "1h"}
    watched = _Watched(tmp_path, *servers, alerting={"rules": {**_OFF, "ODD": rule}})
    watched.looks(*({"queue": 10 + n % 3} for n in range(25)), every=3600)
    assert watched.told == []
    watched.looks({"queue": 40}, every=3600)
    watched.looks({"queue": 11}, every=600)
    assert watched.told == [("firing", "ODD")]
    watched.looks({"queue": 11}, every=3000)
    assert watched.told[-1] == ("recovered", "ODD")


def test_what_is_down_does_not_stop_the_loop(tmp_path: Path, servers: tuple[Exposing, Exposing]) -> None:
    """A webhook that fails is told again later, with the same key, while the loop looks on and the log is told."""
    watched = _Watched(tmp_path, *servers, alerting={"rules": {**_OFF, "LONG": _QUEUE}, "attempts": 1})
    servers[1].status = 500
    (look,) = watched.looks({"queue": 99})
    assert {each.sink: each.error is None for each in look.told.deliveries} == {"log": True, "webhook": False}
    assert watched.looks({"queue": 99}, every=10)[0].told.deliveries == ()
    servers[1].status = 200
    (look,) = watched.looks({"queue": 99}, every=30)
    assert [each.sink for each in look.told.deliveries] == ["webhook"]
    assert len({headers["Idempotency-Key"] for _, headers, _ in servers[1].posted}) == 1
    assert watched.told == [("firing", "LONG")] * 2


def test_alertmanager_is_handed_alerts_again_and_again(tmp_path: Path, servers: tuple[Exposing, Exposing]) -> None:
    """It keeps alerts in memory: each minute it is told what fires, with an end beyond the cool-down, then the end."""
    address = f"http://{servers[1].address}"
    watched = _Watched(
        tmp_path, *servers, alerting={"rules": {**_OFF, "LONG": _QUEUE}, "alertmanager": address, "webhook": None}
    )
    watched.looks({"queue": 99}, {"queue": 99}, {"queue": 1}, every=60)
    posted = [json.loads(body)[0] for path, _, body in servers[1].posted if path == "/api/v2/alerts"]
    assert len(posted) == 3
    assert len({json.dumps(each["labels"]) for each in posted}) == len({each["startsAt"] for each in posted}) == 1
    assert posted[0]["labels"]["alertname"] == "LONG" and posted[0]["labels"]["severity"] == "critical"
    ends = [datetime.fromisoformat(each["endsAt"]) - watched.clock.now() for each in posted]
    assert ends[0] > timedelta(hours=24) and ends[1] > ends[0] and ends[2] == timedelta()


@pytest.mark.parametrize("form", ["cloudevents", "alertmanager"])
def test_other_forms_of_a_webhook(form: str, tmp_path: Path, servers: tuple[Exposing, Exposing]) -> None:
    """A CloudEvent in structured mode, or what Alertmanager posts; both with the key of the message."""
    watched = _Watched(tmp_path, *servers, alerting={"rules": {**_OFF, "LONG": _QUEUE}, "webhook_form": form})
    watched.looks({"queue": 99}, {"queue": 1})
    (_, headers, first), (_, _, second) = servers[1].posted
    one, two = json.loads(first), json.loads(second)
    if form == "cloudevents":
        assert headers["Content-Type"] == "application/cloudevents+json"
        assert (one["specversion"], one["type"], one["subject"]) == ("1.0", "orita.alerts.changed", "LONG")
        assert one["id"] == headers["Idempotency-Key"] != two["id"]
        assert [event["data"]["alerts"][0]["status"] for event in (one, two)] == ["firing", "recovered"]
    else:
        assert (one["version"], one["status"], two["status"]) == ("4", "firing", "resolved")
        assert one["commonLabels"]["alertname"] == "LONG" and one["groupKey"] == headers["Idempotency-Key"]
        assert two["alerts"][0]["endsAt"] > two["alerts"][0]["startsAt"]
