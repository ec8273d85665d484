"""What a worker reports of itself, and what several reports say together.

Counters and histograms are added up, those of workers that have ended too: whoever takes a seat goes on from what was
counted there. Gauges are those of the workers that live: the greatest of them, their sum where parts make a whole, or
their mean where they are shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import msgspec
import numpy as np
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Exemplar

__all__ = [
    "Family",
    "Report",
    "added_up",
    "counted",
    "failed_report",
    "failure_in",
    "families_of",
    "merged_answer",
    "read_report",
    "written",
]

_COUNTED = ("counter", "histogram")
_PARTS_OF_A_WHOLE = ("_pending_rows", "_inside", "_limit", "_bytes", "_in_memory")
"""How gauges end that are summed over workers."""
_OF_ALL = ("_unconverted_bytes",)
"""How gauges end that each worker says of all of them: the greatest is right, though its name ends like a part."""
_SHARES = ("_rate",)
"""How gauges end of which the mean is taken."""

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], list[float]]


class Family(msgspec.Struct, array_like=True, frozen=True):
    """A metric with its samples: name, labels and value of each; and by place in them what stands for a bucket.

    Of what stands for a bucket there are its labels, its value, and when it was counted (Unix time).
    """

    name: str
    documentation: str
    type: str
    samples: list[tuple[str, dict[str, str], float]]
    exemplars: dict[int, tuple[dict[str, str], float, float]] = {}


class Report(msgspec.Struct, frozen=True):
    """What a worker says of itself.

    Attributes:
        failure: why it could not start.
        version: of the model that answers there, None without one.
        families: its metrics.
        answer: its JSON metrics.
        latencies: milliseconds of its last answers, float32.
    """

    failure: str | None = None
    version: str | None = None
    families: list[Family] = []
    answer: dict[str, Any] = {}
    latencies: bytes = b""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Report).decode


def written(report: Report) -> bytes:
    """Return *report* as bytes."""
    return _encode(report)


def read_report(content: bytes) -> Report:
    """Return what `written` wrote; an empty report before the first."""
    return _decode(content) if content else Report()


def failed_report(sentence: str, before: bytes) -> bytes:
    """Return a report of a worker that could not start; what was counted at its seat *before* stays."""
    return written(msgspec.structs.replace(read_report(before), failure=sentence))


def failure_in(content: bytes) -> str | None:
    """Return why the worker with that report could not start."""
    return read_report(content).failure


def families_of(metrics: Iterable[Metric]) -> list[Family]:
    """Return metrics as a report has them."""
    return [
        Family(
            each.name,
            each.documentation,
            each.type,
            [(s.name, s.labels, float(s.value)) for s in each.samples],
            {
                at: (dict(s.exemplar.labels), s.exemplar.value, float(s.exemplar.timestamp or 0))
                for at, s in enumerate(each.samples)
                if s.exemplar is not None
            },
        )
        for each in metrics
    ]


def counted(report: Report) -> Report:
    """Return what of a report outlives its worker."""
    totals = {name: value for name, value in report.answer.items() if name.endswith("_total")}
    return Report(families=[family for family in report.families if family.type in _COUNTED], answer=totals)


def added_up(reports: Iterable[Report]) -> Iterator[Metric]:
    """Yield the metrics of several reports as one."""
    found: dict[str, tuple[Family, Samples]] = {}
    newest: dict[tuple[str, tuple[tuple[str, str], ...]], Exemplar] = {}
    for report in reports:
        for family in report.families:
            _, samples = found.setdefault(family.name, (family, {}))
            for at, (name, labels, value) in enumerate(family.samples):
                key = name, tuple(labels.items())
                samples.setdefault(key, []).append(value)
                if at in family.exemplars:
                    newest[key] = _newer(newest.get(key), family.exemplars[at])
    for family, samples in found.values():
        metric, join = Metric(family.name, family.documentation, family.type), _join(family)
        # The encoder wants the samples of a histogram in the order in which they were made.
        ordered = samples.items() if family.type == "histogram" else sorted(samples.items())
        for (name, given), values in ordered:
            metric.add_sample(name, dict(given), join(values), exemplar=newest.get((name, given)))
        yield metric


def merged_answer(own: Mapping[str, Any], reports: Sequence[Report]) -> dict[str, Any]:
    """Return JSON metrics of several workers as one: *own*, with those figures that are sums, shares or percentiles."""
    answers = [report.answer for report in reports if report.answer]
    rates = [answer.get("requests_per_second", 0.0) for answer in answers]
    failed = sum(rate * answer.get("error_rate", 0.0) for rate, answer in zip(rates, answers, strict=True))
    totals = {name: sum(each.get(name, 0) for each in answers) for name in own if name.endswith("_total")}
    known_N = np.concatenate([np.frombuffer(report.latencies, np.float32) for report in reports])
    p50, p99 = np.percentile(known_N, (50, 99)).round(3).tolist() if len(known_N) else (None, None)
    return {
        **own,
        **totals,
        "requests_per_second": round(sum(rates), 3),
        "latency_p50_ms": p50,
        "latency_p99_ms": p99,
        "error_rate": failed / sum(rates) if sum(rates) else 0.0,
    }


def _newer(known: Exemplar | None, told: tuple[dict[str, str], float, float]) -> Exemplar:
    labels, value, at = told
    return known if known is not None and float(known.timestamp or 0) >= at else Exemplar(labels, value, at)


def _join(family: Family) -> Callable[[list[float]], float]:
    if family.name.endswith(_OF_ALL):
        return max
    if family.type in _COUNTED or family.name.endswith(_PARTS_OF_A_WHOLE):
        return sum
    return fmean if family.name.endswith(_SHARES) else max
