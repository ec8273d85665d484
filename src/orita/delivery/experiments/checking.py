"""Experiments that contradict themselves are refused before anybody is exposed."""

from __future__ import annotations

import math
from collections.abc import Iterable

from orita.core.errors import UserError, closest
from orita.core.names import check_name
from orita.delivery.assignment.layers import Layer
from orita.delivery.experiments.declarations import (
    INTERACTIONS,
    ExperimentPlan,
    FileSource,
    Metric,
    PredictionSource,
)
from orita.delivery.experiments.rollout_splits import check_left_to_rollout
from orita.features.declaring.windows import MICROS_PER_DAY, duration_micros

__all__ = ["check_plan"]

_SUFFIXES = (".parquet", ".csv")


def check_plan(plan: ExperimentPlan) -> None:
    """Refuse an experiment that is not right by itself.

    Raises:
        UserError: it contradicts itself; the sentence names the experiment, the field and what is allowed.
    """
    check_name("experiment", plan.key)
    try:
        _check_variants(plan)
        layer = None if plan.layer is None else Layer(plan.layer.name).allocate(plan.key, plan.layer.percent)
        plan.assignment(layer)
        _check_sources(plan)
        if plan.analysis.kind == "fixed" and plan.analysis.units is None:
            raise UserError("a fixed analysis needs analysis.units: 'orita experiments plan' tells how many.")
        _check_metrics(plan)
    except UserError as error:
        raise UserError(f"experiment {plan.key!r}: {error}") from None


def _check_variants(plan: ExperimentPlan) -> None:
    _once("variant", [variant.name for variant in plan.variants])
    if plan.control is not None and plan.control not in plan.weights:
        raise UserError(f"control is {plan.control!r}, which is no variant. {closest(plan.control, plan.weights)}")


def _check_sources(plan: ExperimentPlan) -> None:
    for name, source in [("exposures", plan.exposures), *plan.outcomes.items()]:
        if isinstance(source, FileSource) and not source.path.endswith(_SUFFIXES):
            raise UserError(f"{name}: the file {source.path!r} is of no known kind: it must end in .parquet or .csv.")
    if isinstance(plan.exposures, PredictionSource):
        check_left_to_rollout(plan)


def _check_metrics(plan: ExperimentPlan) -> None:
    _once("metric", [metric.name for metric in plan.metrics])
    primaries = [metric.name for metric in plan.metrics if metric.role == "primary"]
    if len(primaries) != 1:
        raise UserError(
            f"{len(primaries)} metrics are primary ({', '.join(primaries) or 'none'}): make it exactly one."
        )
    for metric in plan.metrics:
        try:
            _check_metric(metric, plan)
        except UserError as error:
            raise UserError(f"metric {metric.name!r}: {error}") from None


def _check_metric(metric: Metric, plan: ExperimentPlan) -> None:
    known = {INTERACTIONS: None, **plan.outcomes}
    if metric.source not in known:
        raise UserError(f"source is {metric.source!r}. {closest(metric.source, known)}")
    needed, allowed = _FIELDS[metric.kind]
    for field in needed:
        if getattr(metric, field) is None:
            raise UserError(f"{field} is missing; a {metric.kind} needs {' and '.join(needed)}.")
    for field in _OF_SOME_KINDS:
        if getattr(metric, field) is not None and field not in (*needed, *allowed):
            raise UserError(f"{field} is for another kind than {metric.kind}: leave it out.")
    _check_finite(metric)
    if (metric.role == "guardrail") != (metric.margin is not None):
        raise UserError("a guardrail needs a margin, and only a guardrail has one: how much worse is harmless?")
    _check_aggregate(metric, plan)
    for field, text in (("window", metric.window), ("covariate", metric.covariate)):
        if text is not None:
            duration_micros(text, field)
    duration_micros(metric.late, "late", zero=True)
    if metric.covariate is not None and duration_micros(metric.covariate, "covariate") > 366 * MICROS_PER_DAY:
        raise UserError(
            f"covariate is {metric.covariate!r}: what was a year before tells nothing; take a year at most."
        )
    if plan.analysis.kind == "sequential" and metric.kind != "quantile" and metric.looked_for is None:
        raise UserError(
            "a sequential analysis is planned for an effect: give effect, the smallest change that matters, in the "
            "unit of the metric."
        )
    if metric.strata is not None and isinstance(plan.exposures, PredictionSource):
        raise UserError(f"strata is {metric.strata!r}: the prediction log has no strata; use a file or table.")


def _check_finite(metric: Metric) -> None:
    for field, number in (("effect", metric.effect), ("margin", metric.margin)):
        if number is not None and not math.isfinite(number):
            raise UserError(f"{field} is {number}: give a finite number above 0, in the unit of the metric.")


def _check_aggregate(metric: Metric, plan: ExperimentPlan) -> None:
    allowed = _AGGREGATES[metric.kind]
    if metric.aggregate not in allowed:
        raise UserError(f"aggregate is {metric.aggregate!r}; a {metric.kind} allows {', '.join(allowed)}.")
    if metric.aggregate == "rows" and plan.analysis.kind == "sequential":
        raise UserError(
            "rows of one unit depend on each other, and a quantile of rows may be looked at once: use a fixed "
            "analysis, or aggregate sum, mean or max, which gives each unit one number."
        )
    if metric.aggregate in ("mean", "max", "rows") and metric.column is None:
        raise UserError(f"aggregate {metric.aggregate} is of a column: name it.")


def _once(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UserError(f"the {what} {name!r} is there twice: rename one.")
        seen.add(name)


_AGGREGATES = {
    "mean": ("sum", "any"),
    "ratio": ("sum",),
    "quantile": ("sum", "mean", "max", "rows"),
    "retention": ("sum",),
}
_FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "mean": (("window",), ("column", "covariate", "strata")),
    "ratio": (("window", "numerator"), ("denominator",)),
    "quantile": (("window", "quantile"), ("column",)),
    "retention": (("day",), ()),
}
"""By kind, the fields that it needs and those that it may have besides, of those below."""
_OF_SOME_KINDS = ("column", "numerator", "denominator", "quantile", "day", "window", "covariate", "strata")
