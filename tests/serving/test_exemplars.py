"""Metrics lead to traces, are bounded whatever is named, and say what the last monitoring report found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_families
from tests.serving.models_at_hand import FEATURES, publish_model

from orita.core.clock import SystemClock
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.telemetry.bounded import LONGEST_VALUE, bounded
from orita.serving.telemetry.exposition import exposed
from orita.serving.telemetry.histogram import Histogram
from orita.serving.workers.reports import Report, added_up, families_of, read_report, written
from orita.testing.asgi import AsgiClient
from orita.testing.serving import HashedFeatures, load_line_package

_ONE = {"user_id": 7, "item_ids": [1, 2, 3]}
_OPEN = {"accept": "application/openmetrics-text; version=1.0.0"}
_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def client(home: Home) -> Iterator[AsgiClient]:
    """A client of a server with one model."""
    publish_model(home, "v1.2.0", deploy=True)
    features = HashedFeatures(FEATURES)
    app = create_app(home, "feed", features, ServingConfig(), clock=SystemClock(), load=load_line_package)
    with AsgiClient(app) as client:
        yield client


def _families(text: str) -> list[Metric]:
    """Return what a reader of OpenMetrics reads."""
    read: Callable[[str], Iterator[Metric]] = openmetrics.text_string_to_metric_families
    return list(read(text))


def _exemplars(text: str) -> dict[str, float]:
    """Return the value of each exemplar by its trace."""
    samples = [sample for family in _families(text) for sample in family.samples]
    return {s.exemplar.labels["trace_id"]: s.exemplar.value for s in samples if s.exemplar is not None}


def test_a_sampled_trace_stands_for_its_bucket(client: AsgiClient) -> None:
    """OpenMetrics names the trace of a request that its caller records; one that nobody records leads nowhere."""
    assert client.post("/predict", json=_ONE, headers={"traceparent": f"00-{_TRACE}-00f067aa0ba902b7-00"}).status == 200
    assert _exemplars(client.get("/metrics", _OPEN).text) == {}
    assert client.post("/predict", json=_ONE, headers={"traceparent": f"00-{_TRACE}-00f067aa0ba902b7-01"}).status == 200
    answer = client.get("/metrics", _OPEN)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert list(_exemplars(answer.text)) == [_TRACE]
    assert _TRACE not in client.get("/metrics", {"accept": "text/plain"}).text


def test_workers_have_the_newest_exemplar() -> None:
    """Exemplars travel with reports; of two for a bucket the newer one stays, and counts add up as before."""
    reports = []
    for trace, at in (("a" * 32, 10.0), ("b" * 32, 20.0)):
        histogram = Histogram((0.1, 1.0))
        histogram.add(0.05)
        histogram.exemplify(0.05, trace, at)
        family = HistogramMetricFamily("prediction_latency", "Seconds.")
        family.add_metric([], histogram.buckets(), histogram.sum)
        reports.append(read_report(written(Report(families=families_of([family])))))
    for order in (reports, reports[::-1]):
        text = exposed(added_up(order), _OPEN["accept"])[0].decode()
        assert _exemplars(text) == {"b" * 32: 0.05}
        counts = {s.labels["le"]: s.value for f in _families(text) for s in f.samples if "le" in s.labels}
        assert counts == {"0.1": 2, "1.0": 2, "+Inf": 2}


def test_series_are_bounded_whatever_is_named() -> None:
    """Ten thousand hostile values are cut to the bound, long ones to their length, and how many went is told."""
    hostile = CounterMetricFamily("bandit_choices", "Choices.", labels=["bandit"])
    for number in range(10_000):
        hostile.add_metric([f'{number}"}}\n# EOF {{' + "x" * 1000], 1)
    found = {metric.name: metric for metric in bounded([hostile], most=100)}
    assert len(found["bandit_choices"].samples) == 100
    assert all(len(s.labels["bandit"]) <= LONGEST_VALUE for s in found["bandit_choices"].samples)
    left_out = found["metric_series_left_out"].samples
    assert [(s.labels, s.value) for s in left_out] == [({"metric": "bandit_choices"}, 9900)]
    text = exposed(bounded([hostile], most=100), _OPEN["accept"])[0].decode()
    families = {f.name: f for f in _families(text)}
    assert len(families["bandit_choices"].samples) == 100


def test_a_histogram_counts_once_for_its_buckets() -> None:
    """The buckets of one set of labels stay together: a histogram is whole or not there."""
    family = HistogramMetricFamily("api_latency", "Seconds.", labels=["route"])
    for route in ("a", "b", "c"):
        family.add_metric([route], [("0.1", 1), ("+Inf", 2)], 0.5)
    (cut, _) = bounded([family], most=2)
    assert {s.labels["route"] for s in cut.samples} == {"a", "b"}
    assert len(cut.samples) == 2 * 4


def test_the_last_monitoring_report_is_told(client: AsgiClient, home: Home) -> None:
    """Drift, missing values, quality and alerts of the newest report are metrics; what is no report is passed over."""

    def told() -> dict[tuple[str, ...], float]:
        text = client.get("/metrics", {"accept": "text/plain"}).text
        return {(s.name, *s.labels.values()): s.value for f in plain_families(text) for s in f.samples}

    assert not any(key[0] == "ks_statistic" for key in told())
    folder = home.reports / "monitoring"
    folder.mkdir(parents=True)
    drawn = {"reference": [0.5, 0.5], "recent": [0.25, 0.5], "reference_missing": 0.0, "recent_missing": 0.25}
    report = {
        "at": datetime(2024, 11, 12, tzinfo=UTC).isoformat(),
        "features": {
            "findings": [
                {"name": "item_ctr", "test": "ks", "statistic": 0.3, "histogram": drawn},
                {"name": "device_mobile", "test": "categories", "statistic": 9.0, "histogram": drawn},
            ],
            "together": [{"name": "correlations", "effect": 0.2}],
        },
        "predictions": None,
        "performance": {"versions": [{"model_version": "v1.2.0", "auc": {"value": 0.7}, "ctr": None}]},
        "alerts": [{"name": "FEATURE_DRIFT", "severity": "warning"}] * 2,
    }
    (folder / "monitoring-feed-20241112T000000.json").write_text(json.dumps(report))
    found = told()
    assert found["ks_statistic", "item_ctr"] == 0.3
    assert found["ks_statistic", "device_mobile"] == pytest.approx(0.5 - 0.25 / 0.75)
    assert found["missing_rate", "item_ctr"] == 0.25
    assert found["correlation_drift",] == 0.4
    assert found["online_auc", "v1.2.0"] == 0.7
    assert found["monitoring_alerts", "FEATURE_DRIFT", "warning"] == 2
    (folder / "monitoring-feed-20241113T000000.json").write_text("no report")
    assert told()["ks_statistic", "item_ctr"] == 0.3
