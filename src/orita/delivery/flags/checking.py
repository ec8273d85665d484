"""Are the flags right, each and together? Every fault is a sentence that names the flag."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from msgspec import UNSET

from orita.core.errors import NotFound, UserError, closest
from orita.delivery.assignment.conditions import Condition
from orita.delivery.assignment.matching import matcher
from orita.delivery.assignment.split import Split, points_of
from orita.delivery.flags.declarations import Flag, Rollout, Rule, Schedule, Shares

__all__ = ["check_flag", "in_order", "variants_of"]


def variants_of(flag: Flag) -> tuple[dict[str, Any], str, str]:
    """Return the variants of *flag*, its default and its off variant, with what a boolean one leaves out filled in.

    Raises:
        UserError: they are not right.
    """
    boolean = flag.kind == "boolean"
    if flag.variants is UNSET:
        if not boolean:
            raise UserError(f"flag {flag.key!r} is multivariate and has no variants: name them with their values.")
        variants: dict[str, Any] = {"on": True, "off": False}
    else:
        variants = flag.variants
    kinds = {_kind(flag.key, name, value) for name, value in variants.items()}
    if boolean and kinds != {"boolean"}:
        raise UserError(
            f"flag {flag.key!r} is boolean and its variants are not: give true and false, or say kind: multivariate."
        )
    if len(kinds) != 1:
        raise UserError(
            f"flag {flag.key!r} has variants of several types ({', '.join(sorted(kinds)) or 'none'}): give one or more "
            "of one type."
        )
    default = flag.default if flag.default is not UNSET else "off" if boolean and "off" in variants else ""
    if not default:
        raise UserError(f"flag {flag.key!r} has no default: name the variant of whom no rule means.")
    off = flag.off if flag.off is not UNSET else "off" if boolean and "off" in variants else default
    for what, name in (("default", default), ("off", off)):
        _declared(flag.key, what, name, variants)
    return variants, default, off


def check_flag(flag: Flag, segments: Mapping[str, Condition]) -> None:
    """Refuse a flag that is not right by itself.

    Raises:
        UserError: a variant is not declared, weights do not add up, times are out of order, a segment is unknown.
    """
    variants, _, _ = variants_of(flag)
    for override in flag.overrides:
        _declared(flag.key, "an override", override.variant, variants)
    _check_schedule(flag.key, flag.schedule)
    for number, rule in enumerate(flag.rules, 1):
        what = f"rule {rule.name or number}"
        for name in _served(rule):
            _declared(flag.key, what, name, variants)
        _check_schedule(f"{flag.key}, {what}", rule.schedule)
        try:
            _check_dice(rule)
            if rule.when is not None:
                matcher(rule.when, segments, float)
        except UserError as error:
            raise UserError(f"flag {flag.key!r}, {what}: {error}") from None


def in_order(flags: Iterable[Flag]) -> list[Flag]:
    """Return the flags so that each comes after its prerequisites.

    Raises:
        UserError: a key occurs twice, a prerequisite is unknown or asks for an unknown variant, they form a cycle, or
            one flag needs more than 100 evaluations.
    """
    by_key: dict[str, Flag] = {}
    for flag in flags:
        if flag.key in by_key:
            raise UserError(f"two flags have the key {flag.key!r}: rename one.")
        by_key[flag.key] = flag
    done: dict[str, Flag] = {}
    for flag in by_key.values():
        _visit(flag, by_key, done, ())
    _check_depth(done)
    return list(done.values())


def _check_depth(in_order: Mapping[str, Flag]) -> None:
    """Refuse prerequisites of prerequisites without end: each is evaluated for each that asks it."""
    evaluated: dict[str, int] = {}
    for flag in in_order.values():
        evaluated[flag.key] = 1 + sum(evaluated[wanted.flag] for wanted in flag.prerequisites)
        if evaluated[flag.key] > _MOST_EVALUATED:
            raise UserError(
                f"flag {flag.key!r} needs more than {_MOST_EVALUATED} evaluations of its prerequisites and theirs: "
                "ask fewer of them, or put what they share into a segment."
            )


def _visit(flag: Flag, by_key: Mapping[str, Flag], done: dict[str, Flag], within: tuple[str, ...]) -> None:
    """Put the prerequisites of *flag* and then itself into *done*; a stack of its own, since chains may be long."""
    stack: list[tuple[Flag, Iterator[str], tuple[str, ...]]] = [(flag, _parents(flag, by_key), within)]
    while stack:
        current, parents, above = stack[-1]
        parent = next((name for name in parents if name not in done), None)
        if current.key in done or parent is None:
            done[current.key] = current
            stack.pop()
            continue
        path = (*above, current.key)
        if parent in path:
            cycle = " → ".join((*path[path.index(parent) :], parent))
            raise UserError(f"the prerequisites of flags form a cycle: {cycle}. Remove one of them.")
        stack.append((by_key[parent], _parents(by_key[parent], by_key), path))


def _parents(flag: Flag, by_key: Mapping[str, Flag]) -> Iterator[str]:
    for prerequisite in flag.prerequisites:
        if (parent := by_key.get(prerequisite.flag)) is None:
            raise NotFound(
                f"flag {flag.key!r} has the prerequisite {prerequisite.flag!r}, which is not declared. "
                f"{closest(prerequisite.flag, by_key)}"
            )
        for variant in prerequisite.variants:
            _declared(flag.key, f"the prerequisite {parent.key!r}", variant, variants_of(parent)[0])
        yield parent.key


def _served(rule: Rule) -> list[str]:
    if isinstance(rule.serve, str):
        return [rule.serve]
    portions, overrides = rule.serve.portions, rule.serve.overrides
    return [portion.variant for portion in portions] + [override.variant for override in overrides]


def _check_dice(rule: Rule) -> None:
    for dice in (rule.rollout, rule.serve):
        if isinstance(dice, Rollout | Shares):
            if not dice.by and dice.anonymous == "skip":
                raise UserError("by names no attribute: name one, or say anonymous: random.")
            if dice.salt is not None and (not dice.salt or "\0" in dice.salt):
                raise UserError(f"the salt {dice.salt!r} is empty or holds a zero byte: use a name.")
    if rule.rollout is not None:
        points_of("the percent of the rollout", rule.rollout.percent)
        for step in rule.rollout.steps:
            points_of(f"the percent of the step at {step.at.isoformat()}", step.percent)
        times = [step.at for step in rule.rollout.steps]
        if sorted(set(times)) != times:
            raise UserError("the steps of the rollout are not in the order of their times: sort them, each time once.")
    if isinstance(rule.serve, Shares):
        _check_portions(rule.serve)


def _check_portions(shares: Shares) -> None:
    if shares.bucketing == "orita":
        Split(tuple((portion.variant, portion.weight) for portion in shares.portions))
    elif any(portion.weight != int(portion.weight) for portion in shares.portions) or not any(
        portion.weight for portion in shares.portions
    ):
        raise UserError("the weights of unleash must be whole numbers, and one above 0.")


def _check_schedule(what: str, schedule: Schedule | None) -> None:
    if schedule is None:
        return
    first, end = schedule.from_, schedule.until
    if isinstance(first, datetime) and isinstance(end, datetime) and first >= end:
        raise UserError(f"flag {what}: the schedule from {first.isoformat()} until {end.isoformat()} never holds.")


def _declared(flag: str, what: str, variant: str, variants: Mapping[str, Any]) -> None:
    if variant not in variants:
        raise UserError(f"flag {flag!r}: {what} names the variant {variant!r}. {closest(variant, variants)}")


def _kind(flag: str, name: str, value: object) -> str:
    for kind, types in _KINDS.items():
        if isinstance(value, types):
            return kind
    raise UserError(f"flag {flag!r}: the variant {name!r} is {value!r}: allowed are boolean, text, number and object.")


_MOST_EVALUATED = 100
_KINDS: Mapping[str, tuple[type, ...]] = {"boolean": (bool,), "text": (str,), "number": (int, float), "object": (dict,)}
