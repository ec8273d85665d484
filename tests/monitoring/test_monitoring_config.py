"""`monitoring_config.yaml`: as the contract writes it, as it is left out, and as it goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from orita.core.config import load
from orita.core.errors import UserError
from orita.monitoring.config import MonitoringConfig

_CONTRACT = """
drift_detection: {feature_drift: {method: ks_test, threshold: 0.1}, prediction_drift: {method: psi, threshold: 0.2}}
performance_monitoring: {auc_degradation_threshold: 0.05, latency_p99_threshold_ms: 100}
alerting: {email: null, slack_webhook: null}
retraining_triggers: {feature_drift: true, performance_degradation: true, scheduled: weekly}
"""


def _load(tmp_path: Path, text: str) -> MonitoringConfig:
    file = tmp_path / "monitoring_config.yaml"
    file.write_text(text)
    return load(MonitoringConfig, file, environment={}).value


def test_the_contract_works_as_written(tmp_path: Path) -> None:
    """The contract's file selects the fixed thresholds and the limits it names."""
    config = _load(tmp_path, _CONTRACT)
    drift = config.drift_detection
    assert (drift.feature_drift.method, drift.feature_drift.limit) == ("ks_test", 0.1)
    assert (drift.prediction_drift.method, drift.prediction_drift.limit) == ("psi", 0.2)
    assert config.performance_monitoring.latency_p99_threshold_ms == 100
    assert config.retraining_triggers.scheduled == "weekly"
    assert config.alerting.recipients == ()


def test_a_method_left_out_is_calibrated(tmp_path: Path) -> None:
    """An empty file means calibrated alarms at one report in a hundred; a method alone brings its own threshold."""
    config = _load(tmp_path, "")
    assert config.drift_detection.feature_drift.method == "calibrated"
    assert config.drift_detection.false_alarm_rate == 0.01
    assert config.performance_monitoring.latency_p99_threshold_ms == 1000
    bare = _load(tmp_path, "drift_detection: {feature_drift: {method: psi}, prediction_drift: {method: ks_test}}")
    assert bare.drift_detection.feature_drift.limit == 0.2
    assert bare.drift_detection.prediction_drift.limit == 0.1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("drift_detection: {feature_drift: {treshold: 0.1}}", "Did you mean 'threshold'"),
        ("drift_detection: {feature_drift: {threshold: 0.1}}", "needs method ks_test or psi"),
        ("drift_detection: {feature_drift: {method: ks}}", "'calibrated', 'ks_test' or 'psi'"),
        ("alerting: {email: nobody}", "team@example.org"),
        ("alerting: {email: 'a@example.org, nobody'}", "team@example.org"),
        ("alerting: {slack_webhook: 'file:///etc/passwd'}", "https://"),
        ("retraining_triggers: {scheduled: hourly}", "'daily', 'weekly' or 'monthly'"),
        ("performance_monitoring: {auc_degradation_threshold: -1}", "greater than 0"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, sentence: str) -> None:
    """A wrong key or value is one sentence that says what is allowed."""
    with pytest.raises(UserError, match=sentence):
        _load(tmp_path, text)


def test_addresses_are_split(tmp_path: Path) -> None:
    """Several addresses stand in one value, separated by commas."""
    config = _load(tmp_path, "alerting: {email: 'a@example.org, b@example.org'}")
    assert config.alerting.recipients == ("a@example.org", "b@example.org")
