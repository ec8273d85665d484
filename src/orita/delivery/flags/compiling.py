"""A flag as a function of attributes and time: everything that can be decided before a request is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orita.delivery.assignment.conditions import Condition
from orita.delivery.assignment.matching import Attributes, Matcher, Now, matcher
from orita.delivery.assignment.overrides import overriding
from orita.delivery.flags.checking import variants_of
from orita.delivery.flags.declarations import Flag, Rule, Schedule
from orita.delivery.flags.dice import Draw, chooser, gate
from orita.delivery.flags.evaluation import Evaluation, Reason

__all__ = ["Evaluate", "compile_flag"]

Evaluate = Callable[[Attributes, float | None], Evaluation]
_Applied = Callable[[Attributes, float | None], Evaluation | None]


def compile_flag(
    flag: Flag, segments: Mapping[str, Condition], parents: Mapping[str, Evaluate], now: Now, draw: Draw
) -> Evaluate:
    """Return the function that evaluates *flag*, which was checked.

    Args:
        flag: the flag.
        segments: the conditions that it may name.
        parents: its prerequisites, compiled.
        now: tells the time in seconds since the Unix epoch; asked where a schedule needs it and none was given.
        draw: throws the dice for whom no attribute names.
    """
    variants, default, off = variants_of(flag)

    def answer(variant: str, reason: Reason, rule: str = "") -> Evaluation:
        return Evaluation(flag.key, variants[variant], variant, reason, rule=rule)

    disabled = answer(off, Reason.DISABLED)
    if not flag.enabled:
        return lambda _attributes, _at: disabled
    steps = tuple(_rule(rule, flag.key, segments, answer, variants, now, draw) for rule in flag.rules)
    if (override := overriding(flag.overrides)) is not None:
        targeted = {name: answer(name, Reason.TARGETING_MATCH) for name in variants}
        chosen = override
        steps = (lambda attributes, _: targeted[name] if (name := chosen(attributes)) is not None else None, *steps)
    evaluate = _first(steps, answer(default, Reason.DEFAULT if steps else Reason.STATIC))
    conditions = [_met(parents[wanted.flag], frozenset(wanted.variants)) for wanted in flag.prerequisites]
    if flag.schedule is not None:
        conditions.insert(0, _scheduled(flag.schedule, now))
    return _guarded(conditions, evaluate, disabled) if conditions else evaluate


def _first(steps: tuple[_Applied, ...], otherwise: Evaluation) -> Evaluate:
    if len(steps) == 1:
        (only,) = steps
        return lambda attributes, at: only(attributes, at) or otherwise

    def evaluate(attributes: Attributes, at: float | None) -> Evaluation:
        for step in steps:
            if (found := step(attributes, at)) is not None:
                return found
        return otherwise

    return evaluate


def _guarded(conditions: list[Matcher], evaluate: Evaluate, disabled: Evaluation) -> Evaluate:
    def guarded(attributes: Attributes, at: float | None) -> Evaluation:
        for holds in conditions:
            if not holds(attributes, at):
                return disabled
        return evaluate(attributes, at)

    return guarded


def _met(parent: Evaluate, variants: frozenset[str]) -> Matcher:
    return lambda attributes, at: parent(attributes, at).variant in variants


def _rule(
    rule: Rule,
    flag: str,
    segments: Mapping[str, Condition],
    answer: Callable[[str, Reason, str], Evaluation],
    variants: Mapping[str, object],
    now: Now,
    draw: Draw,
) -> _Applied:
    """Return the function that answers where *rule* applies, None where it does not."""
    conditions: list[Matcher] = []
    if rule.schedule is not None:
        conditions.append(_scheduled(rule.schedule, now))
    if rule.when is not None:
        conditions.append(matcher(rule.when, segments, now))
    if rule.rollout is not None:
        conditions.append(gate(rule.rollout, flag, now, draw))
    if isinstance(rule.serve, str):
        reason = Reason.SPLIT if rule.rollout else Reason.TARGETING_MATCH if conditions else Reason.STATIC
        return _served(conditions, answer(rule.serve, reason, rule.name))
    choose = chooser(rule.serve, flag, draw)
    answers = {name: answer(name, Reason.SPLIT, rule.name) for name in variants}

    def shared(attributes: Attributes, at: float | None) -> Evaluation | None:
        for holds in conditions:
            if not holds(attributes, at):
                return None
        return None if (name := choose(attributes)) is None else answers[name]

    return shared


def _served(conditions: list[Matcher], served: Evaluation) -> _Applied:
    match conditions:
        case []:
            return lambda _attributes, _at: served
        case [only]:
            return lambda attributes, at: served if only(attributes, at) else None
        case [first, second]:
            return lambda attributes, at: served if first(attributes, at) and second(attributes, at) else None

    def applied(attributes: Attributes, at: float | None) -> Evaluation | None:
        for holds in conditions:
            if not holds(attributes, at):
                return None
        return served

    return applied


def _scheduled(schedule: Schedule, now: Now) -> Matcher:
    first = schedule.from_.timestamp() if schedule.from_ is not None else float("-inf")
    end = schedule.until.timestamp() if schedule.until is not None else float("inf")
    return lambda _, at: first <= (now() if at is None else at) < end
