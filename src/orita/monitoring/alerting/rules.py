"""Alerts as declarations: what is held against what, for how long, and who is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from orita.core.config import Section
from orita.monitoring.alerting.durations import Duration
from orita.monitoring.alerting.measures import Measure
from orita.monitoring.alerting.slos import BurnWindow, Slo

__all__ = [
    "BURN",
    "REPORTED",
    "AnomalyRule",
    "BudgetRule",
    "BurnRateRule",
    "ReportRule",
    "Rule",
    "ThresholdRule",
    "burn_rules",
    "runbook_of",
]

BURN = "ERROR_BUDGET_BURN"
"""What alerts of an SLO are called for which no rule is declared."""

_KIND_OF = {
    "FEATURE_DRIFT": "drift",
    "PREDICTION_DRIFT": "drift",
    "PERFORMANCE_DEGRADATION": "quality",
    "DATA_QUALITY": "quality",
    "PIPELINE_FAILED": "pipeline",
}
REPORTED = frozenset(_KIND_OF)
"""Alerts of monitoring reports and of runs: a rule that is called so changes them."""


class _Rule(Section):
    """What every rule has.

    Attributes:
        severity: ``critical`` asks for a person now, ``warning`` today.
        wait: ``for`` in YAML: so long its condition must hold before it fires.
        keep: so long its condition must not hold before it is over.
        sinks: who is told, such as ``[slack]``; empty: all.
        runbook: file and anchor, or URL; empty: the entry of the runbook that has the rule's name.
        summary: a sentence instead of the usual one; ``{value}``, ``{threshold}`` and labels by name are filled in.
        labels: set on the alert, for routes of Alertmanager.
    """

    model_config = ConfigDict(populate_by_name=True)
    severity: Literal["info", "warning", "critical"] = "warning"
    wait: Annotated[Duration, Field(alias="for")] = 0.0
    keep: Duration = 0.0
    sinks: tuple[str, ...] = ()
    runbook: str = ""
    summary: str = ""
    labels: dict[str, str] = {}


class ThresholdRule(_Rule):
    """A number is above or below a limit."""

    kind: Literal["threshold"] = "threshold"
    entry: ClassVar[str] = "a-limit-is-crossed"
    measure: Measure
    above: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _has_one_limit(self) -> ThresholdRule:
        if (self.above is None) == (self.below is None):
            raise ValueError("give one limit: above or below")
        return self


class BurnRateRule(_Rule):
    """The error budget of an SLO burns too fast.

    Attributes:
        slo: its name.
        windows: pairs of windows; empty: those of the SLO. Their severity is that of the alert.
    """

    kind: Literal["burn_rate"] = "burn_rate"
    entry: ClassVar[str] = "error-budget-burn"
    slo: str
    windows: tuple[BurnWindow, ...] = ()


class AnomalyRule(_Rule):
    """A number is other than it was lately, or than it is at this hour of this weekday.

    Attributes:
        measure: what is looked at; its window is *step*.
        step: each step has one value.
        method: ``z_score``: distance from the mean of the last *window* values in standard deviations;
            ``seasonal``: from the median of the same hour of the same weekday, by a scale and a limit from history.
        window: of ``z_score``, values.
        z: of ``z_score``; the alert fires from there on.
        false_alarm_rate: of ``seasonal``: share of looks at an unchanged number that fire.
        seasons: of ``seasonal``: weeks of history before anything is judged.
        min_change: of ``seasonal``: a smaller change, as a share of what was expected, does not fire.
        direction: which changes count.
    """

    kind: Literal["anomaly"] = "anomaly"
    entry: ClassVar[str] = "an-anomaly"
    measure: Measure
    step: Annotated[Duration, Field(ge=1)] = 3_600.0
    method: Literal["z_score", "seasonal"] = "z_score"
    window: Annotated[int, Field(ge=3, le=10_000)] = 24
    z: Annotated[float, Field(gt=0)] = 3.0
    false_alarm_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.001
    seasons: Annotated[int, Field(ge=3, le=52)] = 4
    min_change: Annotated[float, Field(ge=0)] = 0.0
    direction: Literal["both", "above", "below"] = "both"

    @model_validator(mode="after")
    def _has_whole_seasons(self) -> AnomalyRule:
        if self.method == "seasonal" and 604_800 % self.step:
            raise ValueError("step must part a week into equal pieces, such as 15m, 1h or 6h")
        return self


class BudgetRule(_Rule):
    """What was spent within a time comes near its limit: money, calls, rows.

    Attributes:
        measure: a counter of what is spent, its window the time; or a gauge that says what was spent.
        limit: the budget.
        share: of it from which on the alert fires.
    """

    kind: Literal["budget"] = "budget"
    entry: ClassVar[str] = "a-budget-is-spent"
    measure: Measure
    limit: Annotated[float, Field(gt=0)]
    share: Annotated[float, Field(gt=0, le=10)] = 1.0

    @model_validator(mode="after")
    def _is_an_amount(self) -> BudgetRule:
        if self.measure.kind not in ("increase", "value"):
            raise ValueError(
                f"measure.stat is {self.measure.kind}; of a budget take increase (a counter) or value (a gauge)"
            )
        return self


class ReportRule(_Rule):
    """What a report of monitoring found (``drift``, ``quality``), or how a run of a pipeline ended (``pipeline``).

    Attributes:
        of: names of their alerts that count; empty: those of the kind.
        only: subjects that count, such as ``feed/price``, or their part after the slash; empty: all.
    """

    kind: Literal["drift", "quality", "pipeline"]
    entry: ClassVar[str] = ""
    of: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def takes(self, name: str, subject: str) -> bool:
        """Tell whether the alert *name* of a report about *subject* counts."""
        named = name in self.of if self.of else _KIND_OF.get(name, "quality") == self.kind
        return named and (not self.only or subject in self.only or subject.partition("/")[2] in self.only)


Rule = ThresholdRule | BurnRateRule | AnomalyRule | BudgetRule | ReportRule


def runbook_of(name: str) -> str:
    """Return the runbook's entry for alerts called *name*."""
    return f"docs/runbook.md#{name.lower().replace('_', '-')}"


def burn_rules(rules: Mapping[str, Rule], slos: Mapping[str, Slo]) -> list[tuple[str, BurnRateRule]]:
    """Return the rules of burn rate by name: those declared, and one for each SLO that none is declared for."""
    declared = [(name, rule) for name, rule in rules.items() if isinstance(rule, BurnRateRule)]
    named = {rule.slo for _, rule in declared}
    return declared + [(BURN, BurnRateRule(slo=name)) for name in slos if name not in named]
