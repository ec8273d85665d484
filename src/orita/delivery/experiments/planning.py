"""How many units does an experiment need, and how many days, before it begins?

With several treatments each is compared with the control at a share of the level, and the largest need counts. The
numbers are units of all variants together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from orita.core.errors import UserError
from orita.delivery.experiments.declarations import ExperimentPlan
from orita.delivery.experiments.periods import DAY, closing_of
from orita.stats.experiments.power import (
    TestPlan,
    days_needed,
    power,
    proportion_spread,
    sample_size,
)

__all__ = ["PlannedSize", "Sizes", "planned_sizes"]

_PARTS = (0.25, 0.5, 1.0, 1.7, 3.0)
_LEAST, _MOST = 1e-12, 1e12  # of an effect and a spread, in the unit of the metric
_FURTHEST = 1e6  # times by which these two may differ
_FEWEST_A_DAY = 0.001


@dataclass(frozen=True, slots=True)
class PlannedSize:
    """Units, the days they take, the chance to find the effect by then, and the smallest effect that is found."""

    units: int
    days: int | None
    power: float
    minimum_effect: float


@dataclass(frozen=True, slots=True)
class Sizes:
    """What an experiment needs.

    Attributes:
        metric, effect, spread, level: what is looked for, in what noise, at which level.
        window_days: from exposure until an outcome is final.
        fixed, sequential: units needed, looked at once and looked at up to `looks` times; the sequential test often
            stops before.
        fixed_days, sequential_days: with the units a day that were given.
        table: of the declared analysis, at parts and multiples of its need.
    """

    metric: str
    effect: float
    spread: float
    level: float
    wanted_power: float
    looks: int
    window_days: int
    fixed: int
    sequential: int
    fixed_days: int | None
    sequential_days: int | None
    table: tuple[PlannedSize, ...]


def planned_sizes(
    plan: ExperimentPlan,
    *,
    effect: float | None = None,
    baseline: float | None = None,
    spread: float | None = None,
    wanted_power: float = 0.8,
    units_a_day: float | None = None,
    correlation: float = 0.0,
    looks: int = 30,
) -> Sizes:
    """Return the sizes that find an effect on the primary metric.

    Args:
        plan: the experiment.
        effect: the change to find, in the unit of the metric; by default the declared one.
        baseline: of a share (``any``, retention), the control's; gives the spread.
        spread: standard deviation of a unit's outcome, of any other metric.
        wanted_power: chance to find the effect.
        units_a_day: exposed for the first time on a day, all variants together.
        correlation: of the outcome with its covariate, with CUPED.
        looks: of a sequential analysis.

    Raises:
        UserError: the effect or the noise is not known, or a number is out of its range.
    """
    metric = plan.primary
    effect = effect if effect is not None else metric.effect
    if effect is None or effect == 0:
        raise UserError(f"the effect on {metric.name!r} is not known: give --effect, the smallest that matters.")
    if metric.kind == "quantile":
        raise UserError(f"{metric.name!r} is a quantile: there is no formula for its size; simulate, or plan a mean.")
    _check_within("--effect", abs(effect), _LEAST, _MOST, "in the unit of the metric, negative where it is to fall")
    if spread is not None:
        _check_within("--spread", spread, _LEAST, _MOST, "in the unit of the metric")
    if units_a_day is not None:
        _check_within("--units-a-day", units_a_day, _FEWEST_A_DAY, _MOST, "of all variants together")
    outer = _spreads(metric.name, metric.binary, effect, baseline, spread)
    if not 1 / _FURTHEST <= abs(effect) / outer[0] <= _FURTHEST:
        raise UserError(
            f"an effect of {effect:g} where the outcomes of units spread by {outer[0]:g}: these may differ a million "
            "times at most; give both in the unit of the metric."
        )
    level = plan.alpha / len(plan.treatments)
    tests = [
        (TestPlan(*outer, share=plan.weights[name] / pair, level=level, correlation=correlation), pair)
        for name in plan.treatments
        for pair in [plan.weights[name] + plan.weights[plan.baseline]]
    ]
    needs = {
        each: max(
            math.ceil(sample_size(replace(test, looks=each), effect, wanted_power) * 100 / pair) for test, pair in tests
        )
        for each in (None, looks)
    }
    window = math.ceil(closing_of(metric) / DAY)

    def days(units: int) -> int | None:
        return None if units_a_day is None else days_needed(units, units_a_day, window=window)

    chosen = None if plan.analysis.kind == "fixed" else looks
    worst, pair = min(tests, key=lambda each: power(replace(each[0], looks=None), effect, 1000 * each[1]))
    worst = replace(worst, looks=chosen)
    table = []
    for part in _PARTS:
        units = math.ceil(needs[chosen] * part)
        in_pair = units * pair / 100
        # Units needed fall with the square of the effect, so the smallest effect found follows from one need.
        smallest = abs(effect) * math.sqrt(needs[chosen] / units)
        table.append(PlannedSize(units, days(units), power(worst, effect, in_pair), smallest))
    return Sizes(
        metric=metric.name,
        effect=effect,
        spread=outer[0],
        level=level,
        wanted_power=wanted_power,
        looks=looks,
        window_days=window,
        fixed=needs[None],
        sequential=needs[looks],
        fixed_days=days(needs[None]),
        sequential_days=days(needs[looks]),
        table=tuple(table),
    )


def _check_within(option: str, value: float, low: float, high: float, more: str) -> None:
    if not low <= value <= high:  # which a NaN is not
        raise UserError(f"{option} is {value:g}: give a number from {low:g} to {high:g}, {more}.")


def _spreads(
    name: str, binary: bool, effect: float, baseline: float | None, spread: float | None
) -> tuple[float, float | None]:
    """Return the standard deviation of a unit in control and in treatment (None: the same)."""
    if spread is not None:
        return spread, None
    if baseline is None:
        raise UserError(
            f"the noise of {name!r} is not known: give --baseline where a unit's outcome is 0 or 1, else --spread, the "
            "standard deviation of a unit's outcome, from past data."
        )
    if not binary:
        raise UserError(
            f"{name!r} is no share of units, and --baseline tells nothing of its noise: give --spread, the standard "
            "deviation of a unit's outcome."
        )
    if not 0 < baseline < 1:
        raise UserError(f"--baseline is {baseline:g}: the control's share lies above 0 and below 1, such as 0.1.")
    if not 0 < baseline + effect < 1:
        raise UserError(
            f"--baseline {baseline:g} and an effect of {effect:g} make {baseline + effect:g} in the treatment, and a "
            "share lies above 0 and below 1: give an --effect closer to 0, negative where the share is to fall."
        )
    return proportion_spread(baseline), proportion_spread(baseline + effect)
