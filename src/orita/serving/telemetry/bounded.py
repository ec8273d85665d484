"""A bound to what a server tells: as many series as a monitoring system bears, whatever callers name.

Labels are chosen so that their values are few: routes, statuses, levels. Versions, bandits and features are named by
those who deploy them, and a bound that nobody meets costs nothing; one that somebody does meet keeps Prometheus up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.samples import Sample

__all__ = ["LONGEST_VALUE", "MOST_SERIES", "bounded"]

MOST_SERIES = 500
"""Sets of labels of one metric; the buckets of a histogram count once."""
LONGEST_VALUE = 128
"""Characters of a label's value."""

_LEFT_OUT = "metric_series_left_out"
_OF_A_HISTOGRAM = ("le", "quantile")


def bounded(metrics: Iterable[Metric], *, most: int = MOST_SERIES) -> Iterator[Metric]:
    """Yield *metrics*, each with at most *most* sets of labels, the first ones; and how many were left out.

    Values are cut to `LONGEST_VALUE` characters. What is left out is told by ``metric_series_left_out``, so that nobody
    takes a sum of these series for the whole.
    """
    left_out: dict[str, float] = {}
    for metric in metrics:
        if metric.name == _LEFT_OUT:  # of workers, who bounded theirs before
            for sample in metric.samples:
                left_out[sample.labels["metric"]] = sample.value
            continue
        missing: float = _cut(metric, most)
        yield metric
        if missing:
            left_out[metric.name] = left_out.get(metric.name, 0) + missing
    family = GaugeMetricFamily(_LEFT_OUT, "Series that are not told because a metric has too many.", labels=["metric"])
    for name, count in left_out.items():
        family.add_metric([name], count)
    yield family


def _cut(metric: Metric, most: int) -> int:
    """Cut *metric* to the first *most* sets of labels; return how many sets went."""
    kept: set[tuple[tuple[str, str], ...]] = set()
    gone: set[tuple[tuple[str, str], ...]] = set()
    found = []
    for sample in map(_shortened, metric.samples):
        key = tuple((name, value) for name, value in sample.labels.items() if name not in _OF_A_HISTOGRAM)
        if key in kept or len(kept) < most:
            kept.add(key)
            found.append(sample)
        else:
            gone.add(key)
    metric.samples = found
    return len(gone)


def _shortened(sample: Sample) -> Sample:
    if all(len(value) <= LONGEST_VALUE for value in sample.labels.values()):
        return sample
    return sample._replace(labels={name: value[:LONGEST_VALUE] for name, value in sample.labels.items()})
