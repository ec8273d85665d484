"""What an experiment is, as YAML and JSON write it: who is split how, where exposures and outcomes are, what is judged.

    experiments:
      - key: new-ranking
        owner: ana
        hypothesis: the two-tower model is clicked more often
        variants: [{name: control, weight: 50}, {name: two_tower, weight: 50}]
        exposures: {kind: predictions, rollout: 0197…}
        metrics:
          - {name: clicks, kind: mean, column: click, window: 7d, direction: up, role: primary, effect: 0.1}

All that a decision rests on is said before the first look: the metrics with their windows, the smallest effect that
matters, the margins of guardrails, the level and how often one may look.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from orita.delivery.assignment.conditions import Condition
from orita.delivery.assignment.experiments import Experiment
from orita.delivery.assignment.layers import Holdout, Layer
from orita.delivery.assignment.overrides import Override
from orita.delivery.assignment.split import Split

__all__ = [
    "INTERACTIONS",
    "Analysis",
    "ExperimentFile",
    "ExperimentPlan",
    "Exposures",
    "FileSource",
    "LayerShare",
    "Metric",
    "Outcomes",
    "PredictionSource",
    "TableSource",
    "Variant",
]

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Share = Annotated[float, Meta(gt=0, lt=1)]
Positive = Annotated[float, Meta(gt=0)]
Duration = Annotated[str, Meta(min_length=2)]

INTERACTIONS = "interactions"
"""The source of outcomes that need not be declared: the lake table of that name."""


class _Declared(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A part of a declaration: it cannot change, and refuses keys it does not know."""


class Variant(_Declared, frozen=True, kw_only=True):
    """A variant and its share of the units in percent, up to four decimals."""

    name: Name
    weight: Annotated[float, Meta(gt=0, le=100)]


class LayerShare(_Declared, frozen=True, kw_only=True):
    """The part of an exclusion layer that the experiment takes when it starts, and gives back when it stops."""

    name: Name
    percent: Annotated[float, Meta(gt=0, le=100)]


class _Rows(_Declared, frozen=True, kw_only=True, tag_field="kind"):
    """Rows of some table.

    Attributes:
        unit: the column of who; numbers and their text are one id.
        time: the column of when; a time without an offset is UTC.
        known: the column of when a row became known, where that is later; null: at its time.
        variant: of exposures, the column of what the unit got.
        overridden: of exposures, a column that is true where an override and not the dice chose.
    """

    unit: Name = "user_id"
    time: Name = "timestamp"
    known: Name | None = None
    variant: Name = "variant"
    overridden: Name | None = None


class FileSource(_Rows, frozen=True, kw_only=True, tag="file"):
    """Parquet or CSV, by its ending; the path is taken from the project's folder, and ``*`` stands for many."""

    path: Name


class TableSource(_Rows, frozen=True, kw_only=True, tag="table"):
    """A lake table of the home."""

    table: Name


class PredictionSource(_Declared, frozen=True, kw_only=True, tag_field="kind", tag="predictions"):
    """The prediction log: answers whose variant the dice of a rollout chose.

    Attributes:
        rollout: its id.
    """

    rollout: Name


Exposures = PredictionSource | FileSource | TableSource
Outcomes = FileSource | TableSource


class Metric(_Declared, frozen=True, kw_only=True):
    """What is measured of each unit, in a window that begins with its first exposure.

    Attributes:
        name: for people.
        kind: ``mean``, one number a unit (see `aggregate`); ``ratio``, sum of `numerator` ÷ sum of `denominator`, units
            independent; ``quantile`` of the units' numbers; ``retention``, the share of units with a row on `day`.
        source: one of the experiment's `outcomes`, by default the lake table of interactions.
        column: what is added up; left out, rows are counted.
        aggregate: of a unit's rows: ``sum``; ``any``, 1 where one is above 0; ``mean`` and ``max``, of quantiles, where
            units without rows do not count; ``rows``, of quantiles with a fixed analysis: each row is a value.
        numerator, denominator: columns of a ratio; without a denominator its rows are counted.
        quantile: such as 0.9.
        day: of retention, from the first exposure on: 7 is the eighth day, [7 d, 8 d).
        window: how long outcomes count, such as ``7d``; retention has the end of its day.
        late: how much later than it happened an outcome may become known; a unit counts so much later.
        direction: which way is better.
        role: one metric is primary and decides; guardrails must not get worse by more than `margin`.
        margin: of a guardrail, how much worse is harmless, in the unit of the metric.
        effect: the smallest change that matters, in the unit of the metric; what a sequential analysis looks for.
        covariate: of a mean, take out what the same metric in so long before the first exposure tells (CUPED).
        strata: of a mean, a column of the exposures, known at the first one, for post-stratification.
    """

    name: Name
    kind: Literal["mean", "ratio", "quantile", "retention"]
    source: Name = INTERACTIONS
    column: Name | None = None
    aggregate: Literal["sum", "any", "mean", "max", "rows"] = "sum"
    numerator: Name | None = None
    denominator: Name | None = None
    quantile: Share | None = None
    day: Annotated[int, Meta(ge=1, le=1000)] | None = None
    window: Duration | None = None
    late: Duration = "0s"
    direction: Literal["up", "down"]
    role: Literal["primary", "secondary", "guardrail"] = "secondary"
    margin: Positive | None = None
    effect: Positive | None = None
    covariate: Duration | None = None
    strata: Name | None = None

    @property
    def looked_for(self) -> float | None:
        """The change that the analysis is planned to see: the effect, or a guardrail's margin."""
        return self.effect if self.effect is not None else self.margin

    @property
    def binary(self) -> bool:
        """Whether a unit's number is 0 or 1."""
        return self.kind == "retention" or (self.kind == "mean" and self.aggregate == "any")


class Analysis(_Declared, frozen=True, kw_only=True):
    """How often one may look.

    Attributes:
        kind: ``sequential``: at any time; ``fixed``: once, when so many units as planned have their outcomes.
        units: planned, all variants together; a fixed analysis needs it.
    """

    kind: Literal["sequential", "fixed"] = "sequential"
    units: Annotated[int, Meta(ge=100)] | None = None


class ExperimentPlan(_Declared, frozen=True, kw_only=True):
    """An experiment as declared.

    Attributes:
        key: its name, also the salt of its split.
        variants: in the order in which they lie in the split.
        control: what the others are compared with; by default the first variant.
        exposures: where it is written who got what.
        metrics: what is judged.
        owner, hypothesis: for people.
        by: attributes that name the unit; the first that is there counts.
        layer: experiments of a layer never share a unit.
        holdouts: who is kept out of this and other experiments.
        audience: who is meant; without one, everybody.
        overrides: who sees a variant whatever the dice say; they are not analysed.
        outcomes: sources by name.
        alpha: chance of a wrong "ship" by the primary metric, over all variants and looks.
        analysis: how often one may look.
        multiple_testing: how p-values of secondary metrics × variants are adjusted.
    """

    key: Name
    variants: Annotated[tuple[Variant, ...], Meta(min_length=2)]
    exposures: Exposures
    metrics: Annotated[tuple[Metric, ...], Meta(min_length=1)]
    control: str | None = None
    owner: str = ""
    hypothesis: str = ""
    by: Name | tuple[Name, ...] = "user_id"
    layer: LayerShare | None = None
    holdouts: tuple[Holdout, ...] = ()
    audience: Condition | None = None
    overrides: tuple[Override, ...] = ()
    outcomes: dict[str, Outcomes] = {}
    alpha: Annotated[float, Meta(gt=0, le=0.5)] = 0.05
    analysis: Analysis = Analysis()
    multiple_testing: Literal["benjamini_hochberg", "holm"] = "benjamini_hochberg"

    @property
    def baseline(self) -> str:
        """The name of the control."""
        return self.control or self.variants[0].name

    @property
    def treatments(self) -> tuple[str, ...]:
        """The names of the others."""
        return tuple(variant.name for variant in self.variants if variant.name != self.baseline)

    @property
    def weights(self) -> dict[str, float]:
        """Percent by variant."""
        return {variant.name: variant.weight for variant in self.variants}

    @property
    def primary(self) -> Metric:
        """The metric that decides."""
        return next(metric for metric in self.metrics if metric.role == "primary")

    def assignment(self, layer: Layer | None = None) -> Experiment:
        """Return what assigns its units; *layer* is the one that it names, with its share (`Experiments.layer`).

        Raises:
            UserError: what it says of assignment does not fit together.
        """
        return Experiment(
            self.key,
            Split.of(self.weights),
            (self.by,) if isinstance(self.by, str) else self.by,
            layer,
            self.holdouts,
            self.audience,
            self.overrides,
        )


class ExperimentFile(_Declared, frozen=True, kw_only=True):
    """Experiments of a file."""

    experiments: tuple[ExperimentPlan, ...] = ()
