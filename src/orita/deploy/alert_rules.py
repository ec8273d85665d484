"""What Prometheus alarms at, over the metrics that a server exposes (docs/api_docs.md, "Metrics for Prometheus")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orita.deploy.declared_rules import changed_rules, declared_groups
from orita.deploy.site import Site

__all__ = ["JOB", "alert_rules"]

JOB = "orita"
"""The job under which Prometheus scrapes the servers."""

_GUIDE = "docs/deployment.md"

_DEGRADED_SHARE = 0.01
"""From this share of its answers on, a server that stands in for the model is worth a look."""


def alert_rules(site: Site) -> dict[str, Any]:
    """Return the rule file: ratios that are worth recording, then alerts, then what the project declares.

    Alerts without a limit are left out, and so are those that the project declares anew or switches off.
    """
    changed = changed_rules(site)
    own = [rule for rule in (*_request_alerts(site), *_server_alerts()) if rule["alert"] not in changed]
    return {
        "groups": [
            {"name": "orita-recorded", "interval": "15s", "rules": list(_recorded())},
            {"name": "orita-alerts", "interval": "15s", "rules": own},
            *declared_groups(site, JOB),
        ]
    }


def _recorded() -> Iterator[dict[str, Any]]:
    failed, all_ = f'rate(prediction_errors_total{{job="{JOB}"}}[5m])', f'rate(requests_total{{job="{JOB}"}}[5m])'
    yield {"record": "orita:requests:rate5m", "expr": f"sum({all_}) or vector(0)"}
    yield {"record": "orita:error_rate:ratio5m", "expr": f"sum({failed}) / sum({all_})"}
    buckets = f'sum by (le) (rate(prediction_latency_bucket{{job="{JOB}"}}[5m]))'
    for share in (0.5, 0.99):
        record = f"orita:latency_p{share * 100:.0f}:seconds5m"
        yield {"record": record, "expr": f"histogram_quantile({share}, {buckets})"}


def _request_alerts(site: Site) -> Iterator[dict[str, Any]]:
    limits = site.deployment.alerts
    if limits.error_rate is not None:
        yield _alert(
            "HIGH_ERROR_RATE",
            f"orita:error_rate:ratio5m > {limits.error_rate:g}",
            "2m",
            "critical",
            "{{ $value | humanizePercentage }} of requests fail (5xx)",
        )
    yield _alert(
        "HIGH_LATENCY",
        f"orita:latency_p99:seconds5m > {site.latency_limit_ms / 1000:g}",
        "5m",
        "critical",
        "the 99th percentile of latency is {{ $value | humanizeDuration }}",
    )
    if limits.throughput_per_minute is not None:
        yield _alert(
            "LOW_THROUGHPUT",
            f"60 * orita:requests:rate5m < {limits.throughput_per_minute:g}",
            "10m",
            "warning",
            '{{ $value | printf "%.0f" }} requests a minute come',
        )


def _server_alerts() -> Iterator[dict[str, Any]]:
    job = f'job="{JOB}"'
    yield _alert("SERVER_DOWN", f"up{{{job}}} == 0", "1m", "critical", "{{ $labels.instance }} does not answer")
    yield _alert(
        "NO_MODEL",
        f"up{{{job}}} == 1 unless on (instance) model_info{{{job}}}",
        "1m",
        "critical",
        "{{ $labels.instance }} answers without a model: its requests get 503",
    )
    yield _alert(
        "MODELS_DIFFER",
        f"count(count by (version) (model_info{{{job}}})) > 1",
        "5m",
        "warning",
        "the servers answer with {{ $value }} different versions",
    )
    yield _alert(
        "PREDICTIONS_NOT_LOGGED",
        f"increase(prediction_log_dropped_rows_total{{{job}}}[5m]) > 0",
        "0m",
        "critical",
        "{{ $labels.instance }} answered without logging {{ $value | humanize }} rows",
    )
    yield _alert(
        "PREDICTION_LOG_STUCK",
        f"prediction_log_stuck{{{job}}} == 1",
        "30s",
        "critical",
        "{{ $labels.instance }} cannot write the prediction log, and sheds requests or drops rows",
    )
    yield _alert(
        "PREDICTIONS_NOT_CONVERTED",
        f"prediction_log_unconverted_bytes{{{job}}} > 0",
        "30m",
        "warning",
        "{{ $value | humanize1024 }}B of the prediction log have not become Parquet",
    )
    yield _alert(
        "PACKAGE_REFUSED",
        f"package_refused_seconds{{{job}}} > 30",
        "0m",
        "critical",
        "{{ $labels.instance }} has not answered with the deployed version for {{ $value | humanizeDuration }}",
    )
    yield _alert(
        "ANSWERS_DEGRADED",
        f"sum by (instance) (rate(degraded_answers_total{{{job}}}[5m])) "
        f"/ sum by (instance) (rate(answers_total{{{job}}}[5m])) > {_DEGRADED_SHARE:g}",
        "2m",
        "warning",
        "{{ $labels.instance }} gives {{ $value | humanizePercentage }} of its answers below level 1",
    )
    yield _alert(
        "BREAKER_OPEN",
        f'breaker_state{{{job},state="OPEN"}} == 1',
        "1m",
        "warning",
        "{{ $labels.instance }} leaves {{ $labels.dependency }} alone, which fails or is too slow",
    )


def _alert(name: str, expression: str, lasting: str, severity: str, summary: str) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": lasting,
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "guide": f"{_GUIDE}#alerts"},
    }
