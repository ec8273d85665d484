"""Declarations: what is shipped, what a project changes, and the sentence when it cannot be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from orita.core.config import load
from orita.core.errors import UserError
from orita.monitoring.alerting.durations import parse_duration, to_prometheus, to_words
from orita.monitoring.alerting.evaluation import horizon, kept_names
from orita.monitoring.alerting.rules import AnomalyRule, ThresholdRule, burn_rules
from orita.monitoring.alerting.slos import WORKBOOK
from orita.monitoring.config import MonitoringConfig


def _config(text: str, tmp_path: Path, *overrides: str) -> MonitoringConfig:
    file = tmp_path / "monitoring_config.yaml"
    file.write_text(text)
    return load(MonitoringConfig, file, overrides=overrides, environment={}).value


def _limits(config: MonitoringConfig) -> dict[str, tuple[float | None, float | None]]:
    return {name: (rule.above, rule.below) for name, rule in config.rules.items() if isinstance(rule, ThresholdRule)}


def test_the_contract_s_alerts_are_shipped(tmp_path: Path) -> None:
    """Without a word: errors over 5 %, p99 over 1,000 ms, fewer than 100 requests a minute; and that servers answer."""
    assert _limits(_config("", tmp_path)) == {
        "HIGH_ERROR_RATE": (0.05, None),
        "HIGH_LATENCY": (1.0, None),
        "LOW_THROUGHPUT": (None, 100),
        "SERVER_DOWN": (None, 1),
    }


def test_the_limit_of_a_system_wins(tmp_path: Path) -> None:
    """The p99 limit of performance monitoring is that of the shipped alert, unless the alert has one of its own."""
    text = "performance_monitoring: {latency_p99_threshold_ms: 250}"
    assert _limits(_config(text, tmp_path))["HIGH_LATENCY"] == (0.25, None)
    own = _config(text, tmp_path, "alerting.rules.HIGH_LATENCY.above=0.4")
    assert _limits(own)["HIGH_LATENCY"] == (0.4, None)


def test_a_project_changes_adds_and_switches_off(tmp_path: Path) -> None:
    """A key of a shipped rule, a rule of one's own, null; and what is left out stays."""
    text = """
alerting:
  rules:
    LOW_THROUGHPUT: null
    HIGH_ERROR_RATE: {above: 0.01, for: 30s}
    ODD_TRAFFIC: {kind: anomaly, measure: {metric: requests_total, stat: per_minute}, method: seasonal, step: 1h}
"""
    config = _config(text, tmp_path)
    rules = config.rules
    assert set(rules) == {"HIGH_ERROR_RATE", "HIGH_LATENCY", "SERVER_DOWN", "ODD_TRAFFIC"}
    errors, odd = rules["HIGH_ERROR_RATE"], rules["ODD_TRAFFIC"]
    assert isinstance(errors, ThresholdRule) and isinstance(odd, AnomalyRule)
    assert (errors.above, errors.wait, errors.severity, errors.measure.of) == (0.01, 30, "critical", "requests_total")
    assert (odd.step, odd.window, odd.z) == (3600, 24, 3)
    again = MonitoringConfig.model_validate(config.model_dump(mode="json"))
    assert again.rules == rules


_MEASURE = "measure: {metric: up}"


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("X1: {kind: threshhold}", "the rule X1 has the kind 'threshhold'. Did you mean 'threshold'?"),
        (f"X1: {{kind: threshold, {_MEASURE}}}", "give one limit: above or below"),
        (f"X1: {{kind: threshold, {_MEASURE}, abowe: 1}}", "the rule X1 has no key 'abowe'. Did you mean 'above'?"),
        ("X1: {kind: threshold, above: 1}", "the rule X1 lacks the key 'measure'"),
        ("X1: {kind: threshold, above: 1, measure: {metrik: up}}", "no key 'measure.metrik'. Did you mean 'metric'?"),
        (f"X1: {{kind: threshold, {_MEASURE}, above: 1, for: soon}}", "'for' is 'soon': expected a duration"),
        ("X1: {kind: threshold, above: 1, measure: {metric: a b}}", "'a b' is no name of a metric"),
        ("X1: {kind: threshold, above: 1, measure: {metric: ctr, source: log}}", "it has requests, rows, latency_ms"),
        ("x1: {kind: threshold}", "'x1' is no name of an alert"),
        ("X1: 3", "the rule X1 is 3: expected its keys, or null"),
        ("X1: {kind: burn_rate, slo: fast}", "the rule X1 names the SLO 'fast'. None exist yet."),
        (f"X1: {{kind: budget, limit: 5, {_MEASURE[:-1]}, stat: rate}}}}", "of a budget take increase"),
        (f"X1: {{kind: anomaly, method: seasonal, step: 5h, {_MEASURE}}}", "step must part a week into equal pieces"),
    ],
)
def test_what_cannot_be_meant_is_told(rule: str, sentence: str, tmp_path: Path) -> None:
    """Each mistake is one sentence that names the key, the rule, and what is allowed."""
    with pytest.raises(UserError) as caught:
        _config(f"alerting: {{rules: {{{rule}}}}}", tmp_path)
    assert sentence in str(caught.value)
    assert "'alerting" in str(caught.value)


@pytest.mark.parametrize(
    ("slo", "sentence"),
    [
        ("a: {objective: 1.2, bad: x, total: y}", "'objective' is 1.2"),
        ("a: {objective: 0.99, bad: x}", "give bad and total"),
        ("a: {objective: 0.99, histogram: x, within: 1, bad: y}", "give bad and total"),
        ("A: {objective: 0.99, bad: x, total: y}", "'A' is no name of an SLO"),
        ("a: {objective: 0.99, bad: x, total: y, burn: [{factor: 2, long: 5m, short: 1h}]}", "short must be shorter"),
        ("a: {objective: 0.99, bad: x, total: y, window: 1d}", "longer than window itself"),
    ],
)
def test_what_no_slo_can_be_is_told(slo: str, sentence: str, tmp_path: Path) -> None:
    """Likewise for SLOs."""
    with pytest.raises(UserError) as caught:
        _config(f"alerting: {{slos: {{{slo}}}}}", tmp_path)
    assert sentence in str(caught.value)


def test_an_slo_has_the_workbook_s_windows(tmp_path: Path) -> None:
    """An SLO without a rule has one: 14.4, 6, 3 and 1 times the budget; its counters are kept for as long."""
    config = _config("alerting: {slos: {served: {objective: 0.999, bad: bad_total, total: all_total}}}", tmp_path)
    ((name, rule),) = burn_rules(config.rules, config.alerting.slos)
    assert (name, rule.slo, rule.windows) == ("ERROR_BUDGET_BURN", "served", ())
    assert [pair.factor for pair in WORKBOOK] == [14.4, 6, 3, 1]
    assert {"bad_total", "all_total", "prediction_latency_bucket", "up"} <= kept_names(
        config.rules, config.alerting.slos
    )
    assert horizon(config.rules, config.alerting.slos) >= 3 * 86_400


def test_the_document_s_examples_are_taken(tmp_path: Path) -> None:
    """What docs/alerts.md shows can be copied."""
    document = (Path(__file__).parents[3] / "docs" / "alerts.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", document, re.MULTILINE | re.DOTALL)
    whole = [block if block.startswith("alerting:") else f"alerting:\n  rules:\n{block}" for block in blocks]
    configs = [_config(text, tmp_path) for text in whole]
    assert {"LONG_QUEUE", "PRICE_DRIFT"} <= {name for config in configs for name in config.rules}
    assert {"availability", "speed"} == {name for config in configs for name in config.alerting.slos}


@pytest.mark.parametrize(
    ("text", "seconds", "prometheus", "words"),
    [
        ("30s", 30.0, "30s", "30 seconds"),
        ("5m", 300.0, "5m", "5 minutes"),
        ("1h30m", 5400.0, "90m", "90 minutes"),
        ("3d", 259_200.0, "3d", "3 days"),
        ("1w", 604_800.0, "7d", "7 days"),
        ("250ms", 0.25, "250ms", "0.25 seconds"),
        (60, 60, "1m", "1 minute"),
    ],
)
def test_durations_are_read_and_written(text: Any, seconds: float, prometheus: str, words: str) -> None:
    """As people write them, as Prometheus does, and in words."""
    assert parse_duration(text) == pytest.approx(seconds)
    assert (to_prometheus(seconds), to_words(seconds)) == (prometheus, words)
