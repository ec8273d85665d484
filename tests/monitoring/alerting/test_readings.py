"""Numbers from samples: rates past restarts, quantiles as Prometheus has them, shares of nothing, and what is stale."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.monitoring.alerting.exposing import exposing, fill

from orita.monitoring.alerting.measures import Measure, to_promql
from orita.monitoring.alerting.readings import bad_share, quantile_of_buckets, read_measure
from orita.monitoring.alerting.scraping import scrape, scrape_all
from orita.monitoring.alerting.series import SeriesFile

_NOW = 1_700_000_100.0


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SeriesFile]:
    """An empty file of samples."""
    file = SeriesFile(tmp_path / "metrics.db", 86_400)
    yield file
    file.close()


def _grow(file: SeriesFile, values: Mapping[str, list[float]], every: float = 15.0, target: str = "a:1") -> None:
    """Put scrapes *every* seconds into *file*, the last at `_NOW`."""
    count = max(len(series) for series in values.values())
    for number in range(count):
        here = {name: series[number] for name, series in values.items() if not np.isnan(series[number])}
        fill(file, _NOW - (count - 1 - number) * every, here, target)


def _value(file: SeriesFile, **measure: Any) -> float:
    (reading,) = read_measure(Measure(**measure), file, _NOW)
    return reading.value


def test_a_rate_is_that_of_the_counter(file: SeriesFile) -> None:
    """Ten a second over five minutes; a minute has 60 times as much, the window 300 times."""
    _grow(file, {"n_total": [150.0 * n for n in range(25)]})
    assert _value(file, metric="n_total") == pytest.approx(10)
    assert _value(file, metric="n_total", stat="per_minute") == pytest.approx(600)
    assert _value(file, metric="n_total", stat="increase") == pytest.approx(3000)


def test_a_restart_is_no_negative_rate(file: SeriesFile) -> None:
    """A counter that begins again at 30 has grown by 30 since, not by 30 less what it was."""
    _grow(file, {"n_total": [1000.0] * 20 + [30.0]})
    assert _value(file, metric="n_total", stat="increase") == pytest.approx(30)


def test_a_counter_that_is_born_counts_from_nothing(file: SeriesFile) -> None:
    """The first error of a server that was watched before is an error; with the first look nothing is known."""
    nan = float("nan")
    _grow(file, {"e_total": [nan] * 20 + [7.0], "n_total": [100.0 * n for n in range(21)]})
    share = _value(file, metric="e_total", of="n_total")
    assert share == pytest.approx(7 / 2000)
    fill(file, _NOW, {"new_total": 500.0}, target="other:1")
    assert read_measure(Measure(metric="new_total"), file, _NOW) == []


def test_servers_are_added_or_told_apart(file: SeriesFile) -> None:
    """Without *by* all servers are one number; by instance each has its own."""
    for target, rate in (("a:1", 1.0), ("b:1", 3.0)):
        _grow(file, {"n_total": [15 * rate * n for n in range(25)]}, target=target)
    assert _value(file, metric="n_total") == pytest.approx(4)
    apart = read_measure(Measure(metric="n_total", by=("instance",)), file, _NOW)
    assert {reading.labels["instance"]: round(reading.value, 6) for reading in apart} == {"a:1": 1, "b:1": 3}


def test_what_is_stale_or_empty_is_no_number(file: SeriesFile) -> None:
    """No samples for five minutes, no requests to divide by, no buckets: nothing, rather than 0 or an error."""
    _grow(file, {"e_total": [0.0, 0.0], "n_total": [5.0, 5.0], "g": [1.0, 1.0]})
    assert read_measure(Measure(metric="e_total", of="n_total"), file, _NOW) == []
    assert read_measure(Measure(metric="n_total"), file, _NOW + 301) == []
    assert read_measure(Measure(metric="g"), file, _NOW + 301) == []
    assert read_measure(Measure(metric="h", stat="p99"), file, _NOW) == []
    assert _value(file, metric="g") == 1


def test_a_server_that_is_away_is_not_up(file: SeriesFile) -> None:
    """Each look says of each server whether it answered."""
    with exposing('# HELP x_total x\n# TYPE x_total counter\nx_total{a="b\\"c"} 3\ny 4\n') as server:
        good, bad = scrape_all([server.address, "127.0.0.1:1"], {"x_total"}, timeout_seconds=10, token="t0k")
        assert server.asked[0]["Authorization"] == "Bearer t0k"
        server.status = 503
        assert scrape(server.address, {"x_total"}, timeout_seconds=10).error == "answered 503 Service Unavailable"
        server.status, server.text = 200, "x_total{ 3\n"
        assert "is no metric" in str(scrape(server.address, {"x_total"}, timeout_seconds=10).error)
    assert [(sample.labels, sample.value) for sample in good.samples] == [((("a", 'b"c'),), 3.0)]
    assert bad.error is not None and bad.samples == ()
    file.add([good, bad], _NOW)
    up = read_measure(Measure(metric="up", by=("instance",)), file, _NOW)
    assert sorted((each.labels["instance"] == server.address, each.value) for each in up) == [(False, 0), (True, 1)]


def test_old_samples_are_thinned_and_rates_stay(file: SeriesFile) -> None:
    """After three hours one sample in five minutes is left, after the horizon none; a long rate is the same."""
    for number in range(1, 1600):
        fill(file, _NOW - 60 * (1600 - number), {"n_total": 60.0 * number})
    day = Measure(metric="n_total", over=80_000)
    (before,) = read_measure(day, file, _NOW - 60)
    file.prune(_NOW, 86_400)
    (after,) = read_measure(day, file, _NOW - 60)
    assert after.value == pytest.approx(before.value, rel=0.01) == pytest.approx(1, rel=0.01)
    (series,) = file.select("n_total", {}, 0, _NOW)
    assert series.at_N[0] >= _NOW - 86_400
    assert len(series.at_N) < 86_400 / 300 + 3 * 60 + 5


def test_hostile_labels_do_not_fill_the_disk(tmp_path: Path) -> None:
    """Beyond 5,000 series nothing new is kept, and what is known goes on."""
    file = SeriesFile(tmp_path / "m.db", 3600)
    values = {f'x_total{{user="{n}"}}': 1.0 for n in range(6000)}
    fill(file, _NOW, values)
    assert len(file.select("x_total", {}, 0, _NOW)) == 4999  # and up
    file.close()


@pytest.mark.parametrize("quantile", [0.0, 0.1, 0.5, 0.9, 0.99, 1.0])
def test_quantiles_lie_in_their_bucket(quantile: float) -> None:
    """Between the bounds of the bucket that holds the rank; beyond the last bound, that bound."""
    bounds, counts = np.array([0.1, 0.5, 1.0, np.inf]), np.array([50.0, 90.0, 98.0, 100.0])
    found = quantile_of_buckets(quantile, bounds, counts)
    assert found is not None
    place = int(np.searchsorted(counts, quantile * 100))
    low, high = (0.0, *bounds[:2], 1.0)[place], (*bounds[:3], 1.0)[place]
    assert low <= found <= high


def test_a_burst_of_the_first_minutes_is_no_burn_of_days(file: SeriesFile) -> None:
    """A window that is not covered yet counts the rest as sound; one that is covered counts all."""
    _grow(file, {"e_total": [10.0 * n for n in range(21)], "n_total": [100.0 * n for n in range(21)]})
    bad: tuple[str, dict[str, str]] = ("e_total", {})
    whole: tuple[str, dict[str, str]] = ("n_total", {})
    assert bad_share(file, bad, whole, _NOW, 300) == pytest.approx(0.1)
    assert bad_share(file, bad, whole, _NOW, 3000) == pytest.approx(0.01)
    assert bad_share(file, bad, ("gone_total", {}), _NOW, 300) is None


_CASES: list[dict[str, Any]] = [
    {"metric": "n_total"},
    {"metric": "n_total", "stat": "per_minute", "by": ["instance"]},
    {"metric": "e_total", "of": "n_total"},
    {"metric": "e_total", "of": "n_total", "over": 900},
    {"metric": "h", "stat": "p50"},
    {"metric": "h", "stat": "p99", "by": ["instance"]},
    {"metric": "h", "stat": "mean"},
    {"metric": "g"},
    {"metric": "g", "aggregate": "max"},
    {"metric": "g", "aggregate": "mean"},
    {"metric": "g", "labels": {"kind": "x"}, "by": ["instance"]},
]


def test_prometheus_measures_the_same(file: SeriesFile, tmp_path: Path) -> None:
    """Each measure as PromQL, on the same series in promtool's simulation, is what Orita's own loop finds."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool here: sudo apt-get install prometheus")
    steady: dict[str, tuple[float, float]] = {  # first value, growth in 15 s
        "n_total": (5, 150),
        "e_total": (0, 6),
        'h_bucket{le="0.1"}': (0, 75),
        'h_bucket{le="0.5"}': (0, 140),
        'h_bucket{le="+Inf"}': (0, 150),
        "h_sum": (0, 30),
        "h_count": (0, 150),
        'g{kind="x"}': (4, 0),
        'g{kind="y"}': (6, 0),
    }
    count, inputs = 121, []
    for target, factor in (("a:1", 1.0), ("b:1", 2.0)):
        values = {name: [first + factor * by * n for n in range(count)] for name, (first, by) in steady.items()}
        _grow(file, values, target=target)
        for name, (first, by) in steady.items():
            bare, _, inside = name.removesuffix("}").partition("{")
            labels = ",".join(filter(None, ('job="orita"', f'instance="{target}"', inside)))
            inputs.append({"series": f"{bare}{{{labels}}}", "values": f"{first:g}+{factor * by:g}x{count - 1}"})
    tests = []
    for case in _CASES:
        measure = Measure(**case)
        found = read_measure(measure, file, _NOW)
        assert found, case
        samples = [{"labels": json.dumps(each.labels), "value": each.value} for each in found]
        for each, sample in zip(found, samples, strict=True):
            inside = ",".join(f'{name}="{value}"' for name, value in each.labels.items())
            sample["labels"] = f"{{{inside}}}"
            sample["value"] = 1
            limit = f"({to_promql(measure, 'orita')})"
            # Equal within a thousandth: promtool compares to the last bit, and rates are extrapolated by it.
            tests.append(
                {
                    "expr": f"abs({limit} - {each.value!r}) <= bool {1e-3 * abs(each.value)!r}"
                    + (f" and on (instance) up{{instance='{each.labels['instance']}'}}" if each.labels else ""),
                    "eval_time": f"{15 * (count - 1)}s",
                    "exp_samples": [sample],
                }
            )
    up = [{"series": f'up{{job="orita",instance="{target}"}}', "values": f"1+0x{count}"} for target in ("a:1", "b:1")]
    content = {
        "evaluation_interval": "15s",
        "tests": [{"interval": "15s", "input_series": [*inputs, *up], "promql_expr_test": tests}],
    }
    (tmp_path / "cases.yaml").write_text(yaml.safe_dump(content))
    command = [promtool, "test", "rules", "cases.yaml"]
    judged = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert judged.returncode == 0, judged.stdout + judged.stderr
