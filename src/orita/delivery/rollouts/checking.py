"""Can a rollout be carried out as it is declared? Every fault is a sentence that names the field of the plan.

These are checks of what begins: a plan that control state keeps is read without them, so that what was once begun can
always be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orita.core.errors import UserError, closest
from orita.delivery.assignment.conditions import All, AnyOf, Condition, InSegment, Not
from orita.delivery.assignment.matching import asks_time, matcher
from orita.delivery.rollouts.checks import Checks, GuardrailCheck, MetricCheck
from orita.delivery.rollouts.plan import RolloutPlan

__all__ = ["check_metric", "check_plan", "check_who_takes_part", "segments_of"]

_NUMBERS = ("flag", "int", "float")

_LEAST_ALPHA = 1e-9
_MOST_REQUESTS = 1_000_000_000
_MOST_POSITIONS = 10_000
_MOST_GUARDRAILS = 20

_MEANT_FOR: Mapping[str, tuple[str, ...]] = {
    "steps": ("canary",),
    "soak_seconds": ("canary", "blue_green"),
    "shares": ("ab", "bandit", "segment", "shadow"),
    "least_share": ("bandit",),
    "cpu_percent": ("shadow",),
    "by": ("canary", "blue_green", "ab", "bandit", "segment"),
    "audience": ("canary", "blue_green", "ab", "bandit", "segment"),
    "holdouts": ("canary", "blue_green", "ab", "bandit", "segment"),
    "overrides": ("canary", "blue_green", "ab", "bandit", "segment"),
}


def check_plan(plan: RolloutPlan) -> None:
    """Refuse a plan that nobody can carry out, whatever is deployed.

    Raises:
        UserError: a field means nothing for the strategy, or has a value with which the rollout could not work.
    """
    _check_strategy(plan)
    for number, version in enumerate(plan.versions):
        if not version:
            raise UserError(f"versions[{number}] is '': name a registered version, such as v1.3.0.")
    if not plan.by or not all(plan.by) or len(set(plan.by)) != len(plan.by):
        raise UserError(
            f"by is {list(plan.by)}: name the attributes that keep a version, each once, such as [user_id]."
        )
    for number, share in enumerate(plan.shares):
        if not share and not plan.overrides:
            raise UserError(
                f"shares[{number}] is {share:g}: give more than 0, or overrides, otherwise nobody gets the version."
            )
    _check_bounds(plan)
    _check_overrides(plan)
    for number, holdout in enumerate(plan.holdouts):
        if not holdout.name or holdout.percent >= 100:
            raise UserError(
                f"holdouts[{number}] is {holdout.name!r} with {holdout.percent:g} %: give a name, and less than 100 %, "
                "otherwise nobody takes part."
            )
    if plan.audience is not None:
        _check_values(plan.audience, "audience")


def check_metric(plan: RolloutPlan, columns: Mapping[str, str]) -> None:
    """Refuse a metric or guardrail that no interaction has a number of; *columns* are types of theirs by name.

    Raises:
        UserError: it is none of them, or no ``flag``, ``int`` or ``float``.
    """
    numbers = [name for name, type_ in columns.items() if type_ in _NUMBERS]
    for field, column in plan.checks.columns.items():
        if plan.routes and column not in columns:
            none = " Or 'metric: null' in a plan, and no metric is looked at." if field == "checks.metric.name" else ""
            raise UserError(f"{field} is {column!r}, which the interactions have not. {closest(column, numbers)}{none}")
        if plan.routes and column not in numbers:
            raise UserError(
                f"{field} is {column!r}, which is of type {columns[column]}: allowed are columns of interactions with "
                f"numbers, {', '.join(numbers)}."
            )


def check_who_takes_part(plan: RolloutPlan, champion: str, segments: Mapping[str, Condition]) -> None:
    """Refuse an audience that cannot be read, and overrides with what is not tried.

    Args:
        plan: of the rollout.
        champion: what is deployed.
        segments: the conditions that the audience may name.

    Raises:
        UserError: a value of the audience cannot be read, a segment is unknown, or it asks for the time; an override
            names neither a challenger nor the champion.
    """
    if plan.audience is not None:
        try:
            matcher(plan.audience, segments, float)
        except UserError as error:
            raise UserError(f"audience cannot be used: {error}") from None
        if asks_time(plan.audience, segments):
            raise UserError(
                "audience asks for the time, which would let users come and go: begin the rollout and end it instead."
            )
    versions = (*plan.versions, champion)
    for number, override in enumerate(plan.overrides):
        if override.variant not in versions:
            raise UserError(
                f"overrides[{number}].variant is {override.variant!r}, which is not tried: allowed are "
                f"{', '.join(plan.versions)} and the champion, {champion}."
            )


def segments_of(condition: Condition | None, segments: Mapping[str, Condition]) -> dict[str, Condition]:
    """Return those *segments* that *condition* names, and those that they name."""
    found: dict[str, Condition] = {}
    left = [] if condition is None else [condition]
    while left:
        match left.pop():
            case InSegment(name=name) if name in segments and name not in found:
                found[name] = segments[name]
                left.append(segments[name])
            case Not(of=inner):
                left.append(inner)
            case All(of=parts) | AnyOf(of=parts):
                left.extend(parts)
    return {name: found[name] for name in sorted(found)}


def _check_strategy(plan: RolloutPlan) -> None:
    """Refuse what would be left unread; a value that is as by default says nothing."""
    usual = RolloutPlan(strategy="canary", versions=("",))
    for field, strategies in _MEANT_FOR.items():
        value = getattr(plan, field)
        if plan.strategy not in strategies and value != getattr(usual, field):
            raise UserError(
                f"{field} means nothing for the strategy {plan.strategy!r}: leave it out, or take "
                f"{', '.join(strategies[:-1])}{' or ' if strategies[1:] else ''}{strategies[-1]}."
            )


def _check_bounds(plan: RolloutPlan) -> None:
    if plan.checks.alpha < _LEAST_ALPHA:
        raise UserError(
            f"checks.alpha is {plan.checks.alpha:g}: allowed is {_LEAST_ALPHA:g} or more; no harm would ever be proven."
        )
    for number, step in enumerate(plan.steps):
        if step.least_requests > _MOST_REQUESTS:
            raise UserError(
                f"steps[{number}].least_requests is {_short(step.least_requests)}: allowed are 0 to "
                f"{_MOST_REQUESTS:,}, otherwise the step never ends."
            )
    _check_latency(plan.checks)
    _check_outcomes(plan.checks)


def _check_latency(checks: Checks) -> None:
    quantiles = [each.quantile for each in checks.latencies]
    if len(set(quantiles)) < len(quantiles):
        raise UserError(f"checks.latency has the quantiles {quantiles}: give each once.")


def _check_outcomes(checks: Checks) -> None:
    """Refuse a metric and guardrails that count nothing, or that nobody could tell from each other."""
    names = [each.name for each in checks.guardrails]
    if len(names) > _MOST_GUARDRAILS:
        raise UserError(f"checks.guardrails has {len(names)}, allowed are {_MOST_GUARDRAILS}.")
    declared: dict[str, MetricCheck | GuardrailCheck] = {f"guardrails[{n}]": c for n, c in enumerate(checks.guardrails)}
    if checks.metric is not None:
        declared["metric"] = checks.metric
    for place, check in declared.items():
        if not check.name:
            raise UserError(f"checks.{place}.name is '': name a column of the interactions, such as click.")
        if check.top > _MOST_POSITIONS:
            raise UserError(
                f"checks.{place}.top is {_short(check.top)}: allowed are 0, for all positions, to {_MOST_POSITIONS:,}."
            )
    for number, guardrail in enumerate(checks.guardrails):
        if guardrail.name in names[:number]:
            raise UserError(f"checks.guardrails[{number}].name is {guardrail.name!r} again: declare each column once.")
        if guardrail.direction == "up" and guardrail.most_loss >= 1:
            raise UserError(
                f"checks.guardrails[{number}].most_loss is {guardrail.most_loss:g}: what is better the more there is "
                "can lose less than 1, such as 0.05."
            )


def _check_overrides(plan: RolloutPlan) -> None:
    chosen: dict[tuple[str, str], str] = {}
    for number, override in enumerate(plan.overrides):
        if not override.values or "" in override.values:
            raise UserError(
                f"overrides[{number}].values is {list(override.values)}: name whose {override.attribute} gets "
                f"{override.variant}, such as [7, 8]."
            )
        for value in map(str, override.values):
            before = chosen.setdefault((override.attribute, value), override.variant)
            if before != override.variant:
                raise UserError(
                    f"overrides[{number}] gives {override.variant} to {override.attribute} {value!r}, who has {before} "
                    "by another one: keep one of them."
                )


def _check_values(condition: Condition, place: str) -> None:
    """Refuse conditions without values, which mean nobody: they hold of no request."""
    for where, part in _parts(condition, place):
        if getattr(part, "values", None) == ():
            raise UserError(f"{where}.values is empty, which means nobody: name one value or more.")
        if isinstance(part, AnyOf) and not part.of:
            raise UserError(f"{where}.of is empty, which means nobody: name one condition or more.")


def _parts(condition: Condition, place: str) -> Iterator[tuple[str, Condition]]:
    left = [(place, condition)]
    while left:
        where, part = left.pop()
        yield where, part
        match part:
            case Not(of=inner):
                left.append((f"{where}.of", inner))
            case All(of=parts) | AnyOf(of=parts):
                left += [(f"{where}.of[{number}]", each) for number, each in enumerate(parts)]


def _short(number: int) -> str:
    digits = str(number)
    return f"{number:,}" if len(digits) <= 15 else f"{digits[:6]}… ({len(digits)} digits)"
