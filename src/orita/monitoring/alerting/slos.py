"""What users are promised, as a declaration: an objective over a window, and how fast its error budget may burn.

Multi-window, multi-burn-rate alerts as in the Site Reliability Workbook (Beyer et al. 2018, chapter 5): a pair of
windows fires while the budget burns faster than its factor over the long one, so that it matters, and over the short
one, so that it still does.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from orita.core.config import Section
from orita.monitoring.alerting.durations import Duration, to_prometheus
from orita.monitoring.alerting.measures import selector

__all__ = ["WORKBOOK", "BurnWindow", "Slo", "bad_share_promql", "bad_share_record"]

_DAY = 86_400.0


class BurnWindow(Section):
    """A pair of windows, and the burn rate at which both fire.

    Attributes:
        factor: 1 spends the budget exactly by the end of the objective's window.
        long, short: the windows.
        severity: of its alert.
    """

    factor: Annotated[float, Field(gt=0)]
    long: Annotated[Duration, Field(gt=0)]
    short: Annotated[Duration, Field(gt=0)]
    severity: Literal["info", "warning", "critical"] = "critical"

    @model_validator(mode="after")
    def _short_is_shorter(self) -> BurnWindow:
        if self.short >= self.long:
            raise ValueError("short must be shorter than long, such as 5m and 1h")
        return self


WORKBOOK = (
    BurnWindow(factor=14.4, long=3_600, short=300, severity="critical"),
    BurnWindow(factor=6, long=21_600, short=1_800, severity="critical"),
    BurnWindow(factor=3, long=_DAY, short=7_200, severity="warning"),
    BurnWindow(factor=1, long=3 * _DAY, short=21_600, severity="warning"),
)
"""Of a window of 30 days: 2 % of the budget within an hour, 5 % within six, 10 % within a day or three."""


class Slo(Section):
    """A promise: the share of good events among all is at least *objective*.

    Either *bad* counts the events that broke it, or *histogram* and *within* say which were too slow.

    Attributes:
        objective: 0 … 1, such as 0.999.
        window: over which the objective holds.
        bad: counter of events that broke it.
        total: counter of all events; with a histogram its own count.
        histogram: of durations in seconds.
        within: seconds within which an event is good; a bound of one of the histogram's buckets.
        labels: series that count.
        burn: pairs of windows.
        description: for people.
    """

    objective: Annotated[float, Field(gt=0, lt=1)]
    window: Annotated[Duration, Field(gt=0)] = 30 * _DAY
    bad: str | None = None
    total: str | None = None
    histogram: str | None = None
    within: Annotated[Duration, Field(gt=0)] | None = None
    labels: dict[str, str] = {}
    burn: Annotated[tuple[BurnWindow, ...], Field(min_length=1, max_length=16)] = WORKBOOK
    description: str = ""

    @model_validator(mode="after")
    def _is_one_kind(self) -> Slo:
        counted, timed = (self.bad, self.total), (self.histogram, self.within)
        if not (all(counted) and not any(timed)) and not (all(timed) and not any(counted)):
            raise ValueError("give bad and total (two counters), or histogram and within (a histogram, and seconds)")
        longest = max(pair.long for pair in self.burn)
        if longest > self.window:
            raise ValueError(f"burn has a window of {to_prometheus(longest)}, longer than window itself")
        return self

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return 1.0 - self.objective

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics to be kept so that it can be judged."""
        if self.histogram:
            return (f"{self.histogram}_bucket", f"{self.histogram}_count")
        return (self.bad or "", self.total or "")

    @property
    def bucket(self) -> str:
        """The label ``le`` of the bucket that *within* is the bound of."""
        assert self.within is not None
        return repr(float(self.within))


def bad_share_promql(slo: Slo, job: str, over: float) -> str:
    """Return the share of bad events over *over* seconds as PromQL."""
    labels, window = {"job": job, **slo.labels}, to_prometheus(over)
    if slo.histogram:
        good = f"sum(rate({selector(f'{slo.histogram}_bucket', {**labels, 'le': slo.bucket})}[{window}]))"
        whole = f"sum(rate({selector(f'{slo.histogram}_count', labels)}[{window}]))"
        return f"1 - {good} / {whole}"
    bad, whole = (f"sum(rate({selector(name or '', labels)}[{window}]))" for name in (slo.bad, slo.total))
    return f"{bad} / {whole}"


def bad_share_record(name: str, over: float) -> str:
    """Return the name under which Prometheus records the share of bad events of the SLO *name*."""
    return f"orita:slo_{name}:bad_share_{to_prometheus(over)}"
