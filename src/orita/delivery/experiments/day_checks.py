"""Does the effect on the primary metric wear off, and is it the same on all weekdays?

Legend: U units, D days.

Of a window of whole weeks each unit has had every weekday in full, and days are those on which outcomes happened. Of
another window units have had other weekdays, so they are parted by the weekday of their first exposure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.delivery.experiments.declarations import ExperimentPlan, Metric
from orita.delivery.experiments.exposures import UNITS
from orita.delivery.experiments.outcomes import Outcomes
from orita.delivery.experiments.periods import DAY, closing_of, window_of
from orita.delivery.experiments.results import DayCheck
from orita.stats.experiments.day_effects import DayEffects, day_effects

if TYPE_CHECKING:
    import duckdb

__all__ = ["day_checks"]

Floats = npt.NDArray[np.float64]

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MOST_CELLS = 5_000_000
_MOST_DAYS = 90
_EPOCH = 3  # 1 January 1970 was a Thursday


def day_checks(
    connection: duckdb.DuckDBPyConnection, plan: ExperimentPlan, metric: Metric, view: str, found: Outcomes
) -> tuple[DayCheck, ...]:
    """Return the checks of each treatment; none of metrics that are no mean, or where days have too few units.

    At most 5 million units × days are looked at, the first units first.
    """
    window = window_of(metric)[1]
    if metric.kind != "mean" or not len(found.id_U):
        return ()
    checks: list[DayCheck] = []
    days = -(-window // DAY)
    names = list(plan.weights)
    control = names.index(plan.baseline)
    if 2 <= days <= _MOST_DAYS:
        units = found.where(np.arange(len(found.id_U)) < _MOST_CELLS // days)
        by_UD = _by_day(connection, metric, view, units, f"(o.at_us - u.first) // {DAY}", days)
        labels = tuple(str(day) for day in range(days))
        for variant in plan.treatments:
            arms = units.arm_U == control, units.arm_U == names.index(variant)
            if (effects := _effects(by_UD[arms[0]], by_UD[arms[1]])) is not None:
                slope, p_value = effects.trend(level=plan.alpha)
                trend = (slope.value, slope.low, slope.high)
                checks.append(_check(variant, "day since exposure", labels, effects, p_value, units, trend))
    whole_weeks = window % (7 * DAY) == 0
    units = found.where(np.arange(len(found.id_U)) < _MOST_CELLS // 7)
    if whole_weeks:
        by_UD = _by_day(connection, metric, view, units, f"(o.at_us // {DAY} + {_EPOCH}) % 7", 7)
    else:
        weekday_U = ((units.closed_U - closing_of(metric)) // DAY + _EPOCH) % 7
        by_UD = np.where(np.arange(7) == weekday_U[:, None], units.value_U[:, None], np.nan)
    for variant in plan.treatments:
        arms = units.arm_U == control, units.arm_U == names.index(variant)
        if (effects := _effects(by_UD[arms[0]], by_UD[arms[1]])) is not None:
            by = "weekday" if whole_weeks else "weekday of the first exposure"
            checks.append(_check(variant, by, _WEEKDAYS, effects, effects.heterogeneity(), units, None))
    return tuple(checks)


def _effects(control_UD: Floats, treatment_UD: Floats) -> DayEffects | None:
    """Return the effect of each day, None where a day has too few units in an arm, or no spread."""
    try:
        effects = day_effects(control_UD, treatment_UD)
    except UserError:
        return None
    return effects if (effects.errors > 0).all() else None


def _check(
    variant: str,
    by: str,
    labels: tuple[str, ...],
    effects: DayEffects,
    p_value: float,
    units: Outcomes,
    trend: tuple[float, float, float] | None,
) -> DayCheck:
    return DayCheck(
        variant=variant,
        by=by,
        labels=labels,
        effects=tuple(effects.effect_D.tolist()),
        errors=tuple(effects.errors.tolist()),
        p_value=p_value,
        units=len(units.id_U),
        trend=trend,
    )


def _by_day(
    connection: duckdb.DuckDBPyConnection, metric: Metric, view: str, units: Outcomes, day: str, days: int
) -> Floats:
    """Return the outcome of each unit on each day, 0 for none."""
    value = "CAST(bool_or(o.value > 0) AS DOUBLE)" if metric.aggregate == "any" else "sum(o.value)"
    last = int(units.id_U.max())
    after, before = window_of(metric)
    found: dict[str, Any] = connection.execute(
        f"SELECT u.id, {day} AS day, {value} AS value FROM {view} o JOIN {UNITS} u USING (unit) WHERE u.id <= {last} "
        f"AND o.at_us >= u.first + {after} AND o.at_us < u.first + {before} "
        f"AND o.known <= u.first + {closing_of(metric)} AND o.value IS NOT NULL GROUP BY u.id, day"
    ).fetchnumpy()
    order_U = np.argsort(units.id_U)
    place_N = order_U[np.searchsorted(units.id_U[order_U], np.asarray(found["id"], np.int64))]
    by_UD = np.zeros((len(units.id_U), days))
    by_UD[place_N, np.asarray(found["day"], np.int64)] = np.asarray(found["value"], np.float64)
    return by_UD
