"""From samples to numbers: what a measure is now, by the labels it is asked by.

Counters are added up from sample to sample, so a restart is no negative rate; a series that begins while its server is
watched began at 0. The first step of a window counts by its part that lies within; nothing is extrapolated.

Legend: N samples, B buckets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from orita.monitoring.alerting.measures import Measure
from orita.monitoring.alerting.series import Series, SeriesFile

__all__ = ["STALE", "Reading", "bad_share", "increase", "quantile_of_buckets", "read_measure"]

STALE = 300.0
"""A series without a sample for so long, seconds, has no value; as in Prometheus."""

_FOLDS: dict[str, Callable[[Sequence[float]], float]] = {"sum": sum, "max": max, "min": min, "mean": fmean}


@dataclass(frozen=True, slots=True)
class Reading:
    """One number: the labels it was asked by, and its value."""

    labels: dict[str, str]
    value: float


def read_measure(measure: Measure, file: SeriesFile, now: float, over: float | None = None) -> list[Reading]:
    """Return what *measure* is at *now*; nothing where there are no samples to say, or nothing to divide by.

    Args:
        measure: of source ``metrics``.
        file: of samples.
        now: Unix seconds.
        over: another window than the measure's own, seconds.
    """
    window = over or measure.over
    if measure.quantile is not None:
        return _quantiles(measure, file, now, window)
    if measure.kind == "mean":
        return _ratio(measure, file, now, window, f"{measure.metric}_sum", f"{measure.metric}_count")
    if measure.of is not None:
        return _ratio(measure, file, now, window, measure.metric, measure.of)
    if measure.kind == "value":
        start = now - min(window, STALE)
        found = [
            (each.labels, float(each.value_N[-1]))
            for each in file.select(measure.metric, measure.labels, start, now)
            if each.at_N[-1] >= start
        ]
        return _folded(found, measure)
    return _folded(_amounts(file, measure.metric, measure.labels, measure, now, window), measure)


def increase(series: Series, start: float, end: float) -> tuple[float, float] | None:
    """Return by how much a counter grew within *start* … *end*, and over how many seconds that is known.

    None where there is no sample of late, or one alone.
    """
    at_N, value_N = series.at_N, series.value_N
    if series.before is not None and series.before < at_N[0]:
        at_N, value_N = np.concatenate(([series.before], at_N)), np.concatenate(([0.0], value_N))
    if len(at_N) < 2 or at_N[-1] <= max(start, end - STALE):
        return None
    grown_N = np.diff(value_N)
    grown_N = np.where(grown_N < 0, value_N[1:], grown_N)
    span_N = np.diff(at_N)
    within_N = np.clip((at_N[1:] - start) / span_N, 0.0, 1.0)
    return float(grown_N @ within_N), float(at_N[-1] - max(start, at_N[0]))


def quantile_of_buckets(quantile: float, bounds_B: NDArray[np.float64], counts_B: NDArray[np.float64]) -> float | None:
    """Return a quantile from cumulative counts, as Prometheus does: linear within a bucket, the last bound beyond it.

    Args:
        quantile: 0 … 1.
        bounds_B: upper bounds, rising; the last is infinite.
        counts_B: how many values are at most as large.
    """
    counts_B = np.maximum.accumulate(counts_B)
    if len(bounds_B) < 2 or not np.isinf(bounds_B[-1]) or counts_B[-1] <= 0:
        return None
    rank = quantile * counts_B[-1]
    place = min(int(np.searchsorted(counts_B, rank)), len(bounds_B) - 1)
    if place == len(bounds_B) - 1:
        return float(bounds_B[-2])
    low, before = (0.0, 0.0) if place == 0 else (bounds_B[place - 1], counts_B[place - 1])
    inside = counts_B[place] - before
    return float(low + (bounds_B[place] - low) * ((rank - before) / inside if inside > 0 else 1.0))


def bad_share(
    file: SeriesFile,
    part: tuple[str, Mapping[str, str]],
    whole: tuple[str, Mapping[str, str]],
    now: float,
    over: float,
    *,
    counts_good: bool = False,
) -> float | None:
    """Return the share of bad events over *over* seconds; None: no events.

    Where less than the window is known, the rest counts as traffic of the same kind without a bad event: a burst in the
    first minutes of a server is not the burn rate of three days.

    Args:
        file: of samples.
        part: name and labels of the counter of bad events, or of good ones.
        whole: of all events.
        now: Unix seconds.
        over: the window, seconds.
        counts_good: *part* counts good events.
    """
    counted, _ = _added(file, *part, now, over)
    total, covered = _added(file, *whole, now, over)
    if not total:
        return None
    share = min(counted / total, 1.0)
    return (1.0 - share if counts_good else share) * min(covered / over, 1.0)


def _added(file: SeriesFile, name: str, labels: Mapping[str, str], now: float, over: float) -> tuple[float, float]:
    found = [increase(each, now - over, now) for each in file.select(name, labels, now - over, now)]
    known = [each for each in found if each is not None]
    return sum(amount for amount, _ in known), max((seconds for _, seconds in known), default=0.0)


def _amounts(
    file: SeriesFile, name: str, labels: Mapping[str, str], measure: Measure, now: float, window: float
) -> list[tuple[dict[str, str], float]]:
    found = []
    for series in file.select(name, labels, now - window, now):
        grown = increase(series, now - window, now)
        if grown is not None and grown[1] > 0:
            amount, seconds = grown
            rate = {"increase": amount, "per_minute": 60 * amount / seconds}.get(measure.kind, amount / seconds)
            found.append((series.labels, rate))
    return found


def _key(labels: Mapping[str, str], by: Sequence[str]) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in by)


def _grouped(found: list[tuple[dict[str, str], float]], by: Sequence[str]) -> dict[tuple[str, ...], list[float]]:
    ordered = sorted(((_key(labels, by), value) for labels, value in found), key=lambda each: each[0])
    return {key: [value for _, value in group] for key, group in groupby(ordered, key=lambda each: each[0])}


def _folded(found: list[tuple[dict[str, str], float]], measure: Measure) -> list[Reading]:
    put_together = _FOLDS[measure.aggregate]
    return [
        Reading(dict(zip(measure.by, key, strict=True)), float(put_together(values)))
        for key, values in _grouped(found, measure.by).items()
    ]


def _ratio(measure: Measure, file: SeriesFile, now: float, window: float, part: str, whole: str) -> list[Reading]:
    amount = measure.model_copy(update={"stat": "increase"})
    of_labels = measure.of_labels if measure.of else measure.labels
    upper = _grouped(_amounts(file, part, measure.labels, amount, now, window), measure.by)
    lower = _grouped(_amounts(file, whole, of_labels, amount, now, window), measure.by)
    return [
        # What was never counted was never there: a counter with labels begins at its first event.
        Reading(dict(zip(measure.by, key, strict=True)), sum(upper.get(key, [])) / sum(values))
        for key, values in lower.items()
        if sum(values) > 0
    ]


def _quantiles(measure: Measure, file: SeriesFile, now: float, window: float) -> list[Reading]:
    assert measure.quantile is not None
    amount = measure.model_copy(update={"stat": "increase"})
    counted: dict[tuple[str, ...], dict[float, float]] = {}
    for labels, value in _amounts(file, f"{measure.metric}_bucket", measure.labels, amount, now, window):
        buckets = counted.setdefault(_key(labels, measure.by), {})
        bound = float(labels.get("le", "nan").replace("+Inf", "inf"))
        buckets[bound] = buckets.get(bound, 0.0) + value
    readings = []
    for key, buckets in sorted(counted.items()):
        bounds = sorted(buckets)
        counts = np.array([buckets[bound] for bound in bounds])
        found = quantile_of_buckets(measure.quantile, np.array(bounds), counts)
        if found is not None:
            readings.append(Reading(dict(zip(measure.by, key, strict=True)), found))
    return readings
