"""What is measured, as a declaration: the same is read by Orita's own loop and written as PromQL for Prometheus."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from orita.core.config import Section
from orita.monitoring.alerting.durations import Duration, to_prometheus

__all__ = ["LOG_METRICS", "Measure", "selector", "to_promql"]

_METRIC = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LOG_METRICS = ("requests", "rows", "latency_ms", "score")
"""What the prediction log can be asked for."""

Stat = Literal["value", "rate", "per_minute", "increase", "mean", "p50", "p90", "p95", "p99", "p999"]
_QUANTILES: dict[str, float] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}


class Measure(Section):
    """One number, or one for each value of the labels *by*.

    Attributes:
        metric: name of a metric that servers expose; of the log: ``requests``, ``rows``, ``latency_ms``, ``score``.
        source: ``metrics``: what servers expose; ``log``: the prediction log.
        stat: ``value``: as it is now; ``rate``: a second; ``per_minute``; ``increase``: over the window; ``p50`` …
            ``p999`` and ``mean`` of a histogram. By default ``rate`` of a name that ends in ``_total``, else ``value``.
        over: the window.
        labels: series that count, by their labels.
        of: a second counter that the first is divided by, such as ``requests_total``.
        of_labels: series of the second that count.
        by: labels; each of their values has a number, and an alert, of its own. Empty: all series are one.
        aggregate: what series of one number are put together by; counters and histograms are added first.
    """

    metric: str
    source: Literal["metrics", "log"] = "metrics"
    stat: Stat | None = None
    over: Annotated[Duration, Field(gt=0)] = 300.0
    labels: dict[str, str] = {}
    of: str | None = None
    of_labels: dict[str, str] = {}
    by: tuple[str, ...] = ()
    aggregate: Literal["sum", "max", "min", "mean"] = "sum"

    @model_validator(mode="after")
    def _is_measurable(self) -> Measure:
        for name in (self.metric, *([self.of] if self.of else [])):
            if not _METRIC.fullmatch(name):
                raise ValueError(
                    f"{name!r} is no name of a metric; take one of docs/api_docs.md, Metrics for Prometheus"
                )
        if wrong := next(
            (name for name in (*self.labels, *self.of_labels, *self.by) if not _LABEL.fullmatch(name)), None
        ):
            raise ValueError(f"{wrong!r} is no name of a label: letters, digits and _")
        if self.source == "log" and self.metric not in LOG_METRICS:
            raise ValueError(f"the log has no metric {self.metric!r}; it has {', '.join(LOG_METRICS)}")
        if self.source == "log" and (self.of or self.labels or self.by):
            raise ValueError("labels, of, of_labels and by are of source metrics; leave them out for the log")
        if self.of and self.kind not in ("rate", "increase"):
            raise ValueError(
                f"stat {self.kind} has no share of another counter; take rate or increase, or leave of out"
            )
        return self

    @property
    def kind(self) -> Stat:
        """The stat, or the one that is meant where none is said."""
        if self.stat is not None:
            return self.stat
        return "rate" if self.metric.endswith("_total") or self.of else "value"

    @property
    def quantile(self) -> float | None:
        """Which quantile is asked for, 0 … 1."""
        return _QUANTILES.get(self.kind)

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics to be kept so that it can be measured."""
        if self.source == "log":
            return ()
        if self.quantile is not None:
            return (f"{self.metric}_bucket",)
        if self.kind == "mean":
            return (f"{self.metric}_sum", f"{self.metric}_count")
        return (self.metric, *([self.of] if self.of else []))

    @property
    def words(self) -> str:
        """What is measured, for a sentence."""
        text = {"value": "", "rate": " a second", "per_minute": " a minute"}.get(self.kind, f", {self.kind}")
        share = f" as a share of {self.of}" if self.of else ""
        return f"{self.metric}{'' if share else text}{share}"


def selector(metric: str, labels: dict[str, str]) -> str:
    """Return PromQL's choice of the series of *metric* that have *labels*."""
    inside = ",".join(f"{name}={_quoted(value)}" for name, value in sorted(labels.items()))
    return f"{metric}{{{inside}}}" if inside else metric


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def to_promql(measure: Measure, job: str, over: float | None = None) -> str:
    """Return *measure* as PromQL.

    Args:
        measure: of source ``metrics``.
        job: under which Prometheus scrapes the servers.
        over: another window than the measure's own, seconds.
    """
    window = to_prometheus(over or measure.over)
    of_job = {"job": job}
    series = selector(measure.metric, {**of_job, **measure.labels})
    by = f" by ({', '.join(measure.by)})" if measure.by else ""
    if measure.quantile is not None:
        grouped = ", ".join(("le", *measure.by))
        bucket = selector(f"{measure.metric}_bucket", {**of_job, **measure.labels})
        return f"histogram_quantile({measure.quantile:g}, sum by ({grouped}) (rate({bucket}[{window}])))"
    if measure.kind == "mean":
        parts = (selector(f"{measure.metric}_{part}", {**of_job, **measure.labels}) for part in ("sum", "count"))
        return " / ".join(f"sum{by} (rate({part}[{window}]))" for part in parts)
    if measure.of is not None:
        whole = selector(measure.of, {**of_job, **measure.of_labels})
        return f"sum{by} (rate({series}[{window}])) / sum{by} (rate({whole}[{window}]))"
    aggregate = {"mean": "avg"}.get(measure.aggregate, measure.aggregate)
    if measure.kind == "value":
        return f"{aggregate}{by} ({series})"
    counted = f"{'increase' if measure.kind == 'increase' else 'rate'}({series}[{window}])"
    return f"{'60 * ' if measure.kind == 'per_minute' else ''}{aggregate}{by} ({counted})"
