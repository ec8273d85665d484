"""What a report says, as plain values: each becomes JSON by `as_json`, in which what is not finite is null."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from typing import Any, Literal

from orita.delivery.experiments.exposures import Exposed

__all__ = [
    "Course",
    "Covariate",
    "DayCheck",
    "Effect",
    "ExperimentReport",
    "Guarded",
    "HoldoutEffect",
    "MetricResult",
    "OutcomeRowCount",
    "PrimaryBelief",
    "SampleRatio",
    "Size",
    "Stratification",
    "Verdict",
    "as_json",
]

Guarded = Literal["holds", "violated", "open"]
Decision = Literal["ship", "do_not_ship", "keep_running", "invalid"]


@dataclass(frozen=True, slots=True)
class Course:
    """One look: the day, units with an outcome by then, and the effect with its interval."""

    at: datetime
    units: int
    estimate: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Covariate:
    """What CUPED gave: the share of the variance that is gone, and the effect without it."""

    variance_reduction: float
    raw_estimate: float
    raw_error: float


@dataclass(frozen=True, slots=True)
class Stratification:
    """The effect with each stratum weighted by its share; the interval is of the same kind as the effect's."""

    column: str
    strata: int
    estimate: float
    low: float
    high: float
    variance_reduction: float


@dataclass(frozen=True, slots=True)
class Effect:
    """A variant against the control.

    Attributes:
        variant: which.
        control, treatment: the metric in each; with CUPED as adjusted.
        estimate: treatment − control.
        error: its standard error, NaN where only an interval is known.
        low, high: its interval at the metric's level.
        p_value: of no difference; sequential: the smallest of all looks.
        adjusted_p: of secondary metrics, adjusted for their number; else None.
        lift: estimate ÷ control.
        n_control, n_treatment: units with an outcome.
        guarded: of a guardrail, whether it holds.
        course: the looks of a sequential analysis.
        covariate, stratification: what they gave, where they are declared.
    """

    variant: str
    control: float
    treatment: float
    estimate: float
    error: float
    low: float
    high: float
    p_value: float
    lift: float
    n_control: int
    n_treatment: int
    adjusted_p: float | None = None
    guarded: Guarded | None = None
    course: tuple[Course, ...] = ()
    covariate: Covariate | None = None
    stratification: Stratification | None = None

    @property
    def different(self) -> bool:
        """Whether the interval excludes no difference, now; the p-value may be of an earlier look."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class MetricResult:
    """A metric.

    Attributes:
        name, kind, role, direction: as declared.
        level: the intervals leave out so much.
        looked_for: the change that the analysis is planned to see.
        margin: of a guardrail.
        effects: of each treatment; none where there are too few units yet.
        closed: units whose outcome is final, all variants.
        nulls: rows without a number in the windows.
        late: rows that became known too late to count.
        absent: units without a number.
        note: why there is no effect, or what to know of it.
    """

    name: str
    kind: str
    role: str
    direction: str
    level: float
    looked_for: float | None
    margin: float | None
    effects: tuple[Effect, ...]
    closed: int
    nulls: int
    late: int
    absent: int
    note: str = ""

    def effect(self, variant: str) -> Effect | None:
        """Return the effect of a variant."""
        return next((effect for effect in self.effects if effect.variant == variant), None)


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Units in each variant against the declared shares.

    Attributes:
        counts, expected: by variant.
        p_value: of one look, now.
        sequential_p_value: valid at all looks; at most `level` is a mismatch.
        mismatch: whether it is.
        days: the first instant of each day, in UTC,
        by_day: and new units by then, by variant.
    """

    counts: dict[str, int]
    expected: dict[str, float]
    p_value: float
    sequential_p_value: float
    level: float
    mismatch: bool
    days: tuple[datetime, ...]
    by_day: dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class DayCheck:
    """Does the primary effect wear off, or differ by weekday?

    Attributes:
        variant: against the control.
        by: ``day since exposure``, ``weekday``, or ``weekday of the first exposure``.
        labels, effects, errors: of each day.
        trend: change of the effect a day, with its interval; None by weekday.
        p_value: of no trend, or of one effect on all weekdays.
        units: of which.
    """

    variant: str
    by: str
    labels: tuple[str, ...]
    effects: tuple[float, ...]
    errors: tuple[float, ...]
    p_value: float
    units: int
    trend: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class PrimaryBelief:
    """Bayesian: of the primary metric, flat priors; not error rates.

    Attributes:
        variant: which.
        best: chance to be the best of all variants.
        better: chance to be better than the control, NaN for the control.
        loss: expected loss of choosing it instead of the control.
    """

    variant: str
    best: float
    better: float
    loss: float


@dataclass(frozen=True, slots=True)
class HoldoutEffect:
    """Units outside the holdouts against those inside, in the time of the experiment: all that names them, together.

    The interval is of one look.
    """

    held: int
    free: int
    held_mean: float
    free_mean: float
    estimate: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, slots=True)
class OutcomeRowCount:
    """Rows of a source of outcomes since the start.

    Attributes:
        source: as metrics name it.
        rows: all,
        unmatched: and those of no unit that is analysed: other users, or ids that do not mean the same.
        analysed_unit, other_unit: one analysed unit, and one of an unmatched row; None where there is none.
    """

    source: str
    rows: int
    unmatched: int
    analysed_unit: str | None
    other_unit: str | None


@dataclass(frozen=True, slots=True)
class Size:
    """Planned against reached.

    Attributes:
        planned: units, all variants; None where nothing tells.
        declared: whether the plan says so; else it is computed from the effect that is looked for and the spread.
        exposed: units so far,
        closed: and those whose primary outcome is final.
        units_a_day: new units of the last days.
        days_left: until as many as planned are closed; None where that cannot be told.
    """

    planned: int | None
    declared: bool
    exposed: int
    closed: int
    units_a_day: float
    days_left: int | None

    @property
    def reached(self) -> bool:
        """Whether as many as planned have an outcome."""
        return self.planned is not None and self.closed >= self.planned


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do, in one line, and why."""

    decision: Decision
    sentence: str
    winner: str | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """All of it."""

    key: str
    hypothesis: str
    owner: str
    status: str
    control: str
    analysis: str
    alpha: float
    started_at: datetime
    ended_at: datetime
    until: datetime
    exposed: Exposed
    sample_ratio: SampleRatio
    size: Size
    metrics: tuple[MetricResult, ...]
    verdict: Verdict
    belief: tuple[PrimaryBelief, ...] = ()
    days: tuple[DayCheck, ...] = ()
    holdout: HoldoutEffect | None = None
    outcome_rows: tuple[OutcomeRowCount, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def primary(self) -> MetricResult:
        """The metric that decides."""
        return next(metric for metric in self.metrics if metric.role == "primary")


def as_json(value: Any) -> Any:
    """Return a report, or a part of one, as JSON values."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: as_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(name): as_json(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    return value
