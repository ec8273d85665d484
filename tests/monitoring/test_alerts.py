"""Alerts: told once, told again after the cool-down, taken back when over, and never lost to a sink or a kill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.monitoring.watched_system import answered, draw, logged, sample_of

from orita.core.clock import ManualClock
from orita.monitoring.alerting.book import AlertBook, KnownAlert
from orita.monitoring.alerting.declaring import read_rules
from orita.monitoring.alerts import Alert, Assessment, assess
from orita.monitoring.config import DriftDetectionConfig, PerformanceConfig
from orita.monitoring.dispatch import DispatchReport, dispatch, signals_of
from orita.monitoring.drift import feature_drift
from orita.monitoring.performance import online_performance
from orita.monitoring.reference import Reference
from orita.monitoring.sinks import Notice

_AT = datetime(2024, 11, 13, 4, tzinfo=UTC)
_KEY = ("FEATURE_DRIFT", "feed/item_ctr")


class _Recorder:
    """A sink that remembers, and fails when told to."""

    def __init__(self) -> None:
        self.messages: list[list[tuple[str, str]]] = []
        self.keys: list[str] = []
        self.broken = False

    def send(self, notices: Sequence[Notice], key: str = "") -> None:
        if self.broken:
            raise OSError("the line is dead")
        self.keys.append(key)
        self.messages.append([(notice.kind, notice.alert["subject"]) for notice in notices])


def _alert(name: str = "FEATURE_DRIFT", subject: str = "feed/item_ctr") -> Alert:
    return Alert(name, subject, "warning", "item_ctr changed.", 0.2, 0.05, "report.html", "docs/runbook.md#x", _AT)


_FIRING = Assessment((_alert(),), frozenset({_KEY}))
_QUIET = Assessment((), frozenset({_KEY}), (_alert(),))
_NOT_JUDGED = Assessment((), frozenset())


class _Watch:
    """Runs of a monitor that share a file of alerts, a clock and two sinks."""

    def __init__(self, path: Path) -> None:
        self.book, self.clock = AlertBook(path), ManualClock(_AT)
        self.sinks = {"one": _Recorder(), "two": _Recorder()}

    def run(self, assessment: Assessment, after: timedelta = timedelta(hours=1)) -> DispatchReport:
        self.clock.advance(after)
        signals, day = signals_of(assessment), timedelta(hours=24)
        return dispatch(signals, self.sinks, book=self.book, clock=self.clock, cooldown=day)

    @property
    def known(self) -> KnownAlert:
        (known,) = self.book.alerts()
        return known

    @property
    def events(self) -> list[str]:
        return [line.event for line in self.book.history(self.known.fingerprint)]

    @property
    def said(self) -> list[list[tuple[str, str]]]:
        return self.sinks["one"].messages


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[_Watch]:
    """A monitor that has not run yet."""
    watch = _Watch(tmp_path / "reports" / "alerts.db")
    yield watch
    watch.book.close()


def test_an_alert_is_told_once_until_the_cool_down(watch: _Watch) -> None:
    """The same alert is sent once, and sent again after the cool-down; its history has what became of it."""
    reports = [watch.run(_FIRING) for _ in range(3)]
    assert watch.said == [[("firing", "feed/item_ctr")]]
    assert [report.new for report in reports] == [1, 0, 0]
    watch.run(_FIRING, after=timedelta(hours=24))
    assert len(watch.said) == 2
    assert watch.events == ["firing", "sent", "sent", "sent", "sent"]  # two sinks, twice
    assert len(set(watch.sinks["one"].keys)) == 2


def test_recovery_is_told_once_and_the_next_trouble_is_new(watch: _Watch) -> None:
    """An alert judged and no longer firing is taken back once; firing again it is sent at once."""
    watch.run(_FIRING)
    assert len(watch.run(_QUIET).recovered) == 1
    assert not watch.run(_QUIET).recovered
    watch.run(_FIRING)
    subjects = [(kind, subject) for message in watch.said for kind, subject in message]
    assert [kind for kind, _ in subjects] == ["firing", "recovered", "firing"]


def test_what_was_not_judged_does_not_recover(watch: _Watch) -> None:
    """Too little data to judge is no good news, and no reason to repeat the bad."""
    watch.run(_FIRING)
    assert not watch.run(_NOT_JUDGED).recovered
    watch.run(_NOT_JUDGED, after=timedelta(hours=48))
    assert len(watch.said) == 1
    assert watch.known.firing


def test_a_broken_sink_stops_nobody_and_is_made_up_for(watch: _Watch) -> None:
    """Its failure is returned and recorded, the other sink is told, and the next run tells the broken one alone."""
    watch.sinks["one"].broken = True
    report = watch.run(_FIRING)
    assert [(delivery.sink, delivery.error) for delivery in report.failed] == [("one", "the line is dead")]
    assert watch.events == ["firing", "failed", "sent"] or watch.events == ["firing", "sent", "failed"]
    assert watch.book.undelivered() == {"one": "the line is dead"}
    assert watch.sinks["two"].messages == [[("firing", "feed/item_ctr")]]
    watch.sinks["one"].broken = False
    assert not watch.run(_FIRING).failed
    assert len(watch.sinks["one"].messages) == len(watch.sinks["two"].messages) == 1


def test_recovery_goes_to_those_who_know(watch: _Watch) -> None:
    """Who never heard of the trouble hears nothing of its end; who missed the end hears it later."""
    watch.sinks["one"].broken = True
    watch.run(_FIRING)
    watch.sinks["two"].broken = True
    watch.run(_QUIET)
    watch.sinks["one"].broken = watch.sinks["two"].broken = False
    watch.run(_QUIET)
    assert watch.sinks["one"].messages == []
    assert watch.sinks["two"].messages[-1] == [("recovered", "feed/item_ctr")]


def test_one_run_is_one_message(watch: _Watch) -> None:
    """All that is due to a sink goes in one message, the worst first."""
    critical = Alert("HIGH_LATENCY", "feed", "critical", "slow", 200, 100, "r", "d", _AT)
    firing = (critical, _alert(subject="feed/a"), _alert(subject="feed/b"))
    watch.run(Assessment(firing, frozenset(alert.key for alert in firing)))
    assert [[subject for _, subject in message] for message in watch.said] == [["feed", "feed/a", "feed/b"]]


def test_a_run_killed_before_sending_is_made_up_for(watch: _Watch) -> None:
    """An alert that was recorded and not sent is sent by the next run, whatever the cool-down."""
    watch.book.observe(signals_of(_FIRING), dict.fromkeys(watch.sinks, timedelta(hours=24)), watch.clock.now())
    watch.run(_FIRING)
    assert watch.said == [[("firing", "feed/item_ctr")]]


def test_a_run_killed_while_sending_sends_the_same_message(watch: _Watch) -> None:
    """What was handed to a sink by a killed run is sent again as it was and with its key, before anything newer."""
    watch.book.observe(signals_of(_FIRING), dict.fromkeys(watch.sinks, timedelta(hours=24)), watch.clock.now())
    (message,) = watch.book.claim("one", watch.clock.now())
    other = Assessment((_alert(subject="feed/other"),), frozenset())
    watch.run(other)
    assert watch.said == [[("firing", "feed/item_ctr")], [("firing", "feed/other")]]
    assert watch.sinks["one"].keys[0] == message.key


def test_who_may_have_been_told_hears_the_end(watch: _Watch) -> None:
    """Its sender was killed, perhaps after a message had arrived, and before it told all: both hear all of it."""
    watch.book.observe(signals_of(_FIRING), dict.fromkeys(watch.sinks, timedelta(hours=24)), watch.clock.now())
    assert watch.book.claim("one", watch.clock.now())
    watch.run(_QUIET)
    assert [kind for message in watch.said for kind, _ in message] == ["firing", "recovered"]
    assert [[kind for kind, _ in message] for message in watch.sinks["two"].messages] == [["firing", "recovered"]]


def test_declared_rules_change_what_a_report_raises(tmp_path: Path) -> None:
    """A rule of the alert's name changes it, null silences it, one of another name is an alert more."""
    rules = read_rules(
        {
            "FEATURE_DRIFT": {"kind": "drift", "severity": "info", "sinks": ["log"], "for": "1d"},
            "PRICE_DRIFT": {"kind": "drift", "only": ["price"], "severity": "critical"},
            "ANY_QUALITY": {"kind": "quality"},
            "PREDICTION_DRIFT": None,
        }
    )
    found = (_alert(subject="feed/price"), _alert("PREDICTION_DRIFT", "feed/score"), _alert("PERFORMANCE_DEGRADATION"))
    signals = signals_of(Assessment(found, frozenset(), (_alert(subject="feed/age"),)), rules)
    told = [(signal.alert.name, signal.alert.subject, signal.alert.severity, signal.active) for signal in signals]
    assert told == [
        ("FEATURE_DRIFT", "feed/price", "info", True),
        ("PRICE_DRIFT", "feed/price", "critical", True),
        ("PERFORMANCE_DEGRADATION", "feed/item_ctr", "warning", True),
        ("ANY_QUALITY", "feed/item_ctr", "warning", True),
        ("FEATURE_DRIFT", "feed/age", "info", False),
    ]
    assert (signals[0].sinks, signals[0].wait_seconds) == (("log",), 86_400)


def test_alerts_of_a_bad_day(reference: Reference) -> None:
    """Drift, a loss of quality and slow answers give one alert each, the critical first, each with its runbook."""
    rows = draw(np.random.default_rng(1), 400, per_request=10)
    rows["x_NF"][:, 0] += 0.1
    predictions = logged(rows, latency_ms=250)
    config = PerformanceConfig(resamples=100, latency_p99_threshold_ms=100)
    feedback = answered(predictions, lambda s: np.full(len(s), 0.3))
    performance = online_performance(predictions, feedback, config, test_auc={"v1.0.0": 0.8})
    drift = feature_drift(reference, sample_of(rows), DriftDetectionConfig())
    found = assess("feed", (drift,), performance, evidence="report.html", at=_AT)
    assert [alert.key for alert in found.firing] == [
        ("HIGH_LATENCY", "feed"),
        ("PERFORMANCE_DEGRADATION", "feed/v1.0.0"),
        ("FEATURE_DRIFT", "feed/user_historical_ctr"),
    ]
    assert [alert.severity for alert in found.firing] == ["critical", "critical", "warning"]
    assert found.firing[0].runbook == "docs/runbook.md#high-latency"
    assert found.firing[0].value == pytest.approx(250)
    assert ("FEATURE_DRIFT", "feed/item_ctr") in found.judged


def test_what_cannot_be_judged_is_not(reference: Reference) -> None:
    """Few requests and few labels raise nothing and lift nothing."""
    rows = draw(np.random.default_rng(1), 10)
    predictions = logged(rows)
    performance = online_performance(predictions, answered(predictions, lambda s: s), PerformanceConfig(), test_auc={})
    drift = feature_drift(reference, sample_of(rows), DriftDetectionConfig())
    assert assess("feed", (drift,), performance, evidence="r", at=_AT) == Assessment((), frozenset(), ())
