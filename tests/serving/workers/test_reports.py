from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from orita.serving.workers.reports import (
    Report,
    added_up,
    counted,
    failed_report,
    failure_in,
    families_of,
    merged_answer,
    read_report,
    written,
)


def metrics(requests: dict[str, int], pending: float, uptime: float, buckets: tuple[int, int]) -> list[Metric]:
    """Return what a worker counted."""
    counter = CounterMetricFamily("requests", "Requests.", labels=["status"])
    for status, count in requests.items():
        counter.add_metric([status], count)
    histogram = HistogramMetricFamily("latency", "Seconds.")
    histogram.add_metric([], [("0.1", buckets[0]), ("+Inf", sum(buckets))], 0.5)
    gauges = [
        GaugeMetricFamily("log_pending_rows", "Rows.", value=pending),
        GaugeMetricFamily("uptime_seconds", "Seconds.", value=uptime),
        GaugeMetricFamily("models_in_memory", "Models.", value=pending),
        GaugeMetricFamily("cache_bytes", "Bytes.", value=pending),
        GaugeMetricFamily("log_unconverted_bytes", "Bytes of all.", value=pending),
        GaugeMetricFamily("hit_rate", "Share.", value=pending / 100),
    ]
    return [counter, histogram, *gauges]


def samples(reports: list[Report]) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return the values of several reports as one."""
    return {(s.name, tuple(s.labels.values())): s.value for metric in added_up(reports) for s in metric.samples}


def test_counters_are_sums_and_gauges_are_not() -> None:
    """Counters and histograms add up, parts of a whole too; of shares the mean is taken, of others the greatest."""
    one = Report(families=families_of(metrics({"200": 3, "503": 1}, 10, 5, (1, 2))))
    other = Report(families=families_of(metrics({"200": 4, "422": 2}, 7, 9, (3, 4))))
    found = samples([one, other])
    assert {label: value for (name, label), value in found.items() if name == "requests_total"} == {
        ("200",): 7,
        ("422",): 2,
        ("503",): 1,
    }
    assert found["latency_bucket", ("0.1",)] == 4
    assert found["latency_bucket", ("+Inf",)] == 10
    assert found["latency_sum", ()] == 1.0
    assert found["log_pending_rows", ()] == 17
    assert found["uptime_seconds", ()] == 9
    assert found["models_in_memory", ()] == 17
    assert found["cache_bytes", ()] == 17
    assert found["log_unconverted_bytes", ()] == 10
    assert found["hit_rate", ()] == 0.085


@given(st.lists(st.dictionaries(st.sampled_from(["200", "422", "503"]), st.integers(0, 10**9)), min_size=1, max_size=5))
def test_totals_do_not_depend_on_who_counted(parts: list[dict[str, int]]) -> None:
    """Sums of sums are the sums, in whatever order and however the reports are grouped."""
    reports = [Report(families=families_of(metrics(part, 0, 0, (0, 0)))) for part in parts]
    first = Report(families=families_of(added_up(reports[:2])))
    assert samples([first, *reports[2:]]) == samples(reports[::-1])


def test_what_outlives_a_worker() -> None:
    """Of a worker that ended the counters stay, the gauges go; written and read it is the same."""
    report = Report(
        version="v1.0.0",
        families=families_of(metrics({"200": 3}, 10, 5, (1, 2))),
        answer={"requests_total": 3, "requests_per_second": 1.5},
        latencies=b"1234",
    )
    stays = counted(read_report(written(report)))
    assert {family.name for family in stays.families} == {"requests", "latency"}
    assert stays.answer == {"requests_total": 3}
    assert stays.version is None


def test_a_worker_that_could_not_start_keeps_the_counts_of_its_seat() -> None:
    """The sentence is added to what the worker before it had counted."""
    before = written(Report(answer={"requests_total": 3}))
    content = failed_report("no key is trusted.", before)
    assert failure_in(content) == "no key is trusted."
    assert read_report(content).answer == {"requests_total": 3}
    assert failure_in(before) is None
    assert failure_in(b"") is None


def test_json_metrics_of_several_workers() -> None:
    """Totals and rates add up, the error rate is that of all requests, percentiles are those of all answers."""
    own = {"requests_total": 10, "requests_per_second": 1.0, "error_rate": 0.5, "latency_p50_ms": 1.0}
    own |= {"latency_p99_ms": 1.0, "predictions_total": 50}
    other = {**own, "requests_total": 30, "requests_per_second": 3.0, "error_rate": 0.1, "predictions_total": 70}
    slow, quick = np.full(30, 8.0, np.float32), np.full(70, 2.0, np.float32)
    reports = [Report(answer=own, latencies=slow.tobytes()), Report(answer=other, latencies=quick.tobytes())]
    ended = Report(answer={"requests_total": 5, "predictions_total": 5})
    found = merged_answer(own, [*reports, ended])
    assert found == {
        "requests_total": 45,
        "predictions_total": 125,
        "requests_per_second": 4.0,
        "error_rate": 0.2,
        "latency_p50_ms": 2.0,
        "latency_p99_ms": 8.0,
    }
    assert merged_answer({**own, "requests_total": 0}, [Report()])["latency_p50_ms"] is None
