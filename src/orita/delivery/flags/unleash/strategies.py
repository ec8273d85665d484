"""Strategies of Unleash as rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from orita.delivery.assignment.conditions import All, Condition, InSegment, OneOf
from orita.delivery.assignment.overrides import Override
from orita.delivery.flags.declarations import Portion, Rollout, Rule, Shares
from orita.delivery.flags.unleash.constraints import NEVER, condition_of, networks_of
from orita.delivery.flags.unleash.documents import Feature, Strategy, Variant

__all__ = ["rules_of", "segment_name"]


def segment_name(number: int) -> str:
    """Return the name that a segment of Unleash has among ours."""
    return f"segment-{number}"


def rules_of(feature: Feature, keys: Mapping[int, str], segments: frozenset[int], hostname: str) -> tuple[Rule, ...]:
    """Return the rules that serve what the strategies of *feature* do.

    Args:
        feature: the feature.
        keys: our variant by the identity (`id`) of a variant of the document.
        segments: the segments that there are.
        hostname: of the machine that evaluates, for the strategy applicationHostname.
    """
    strategies = feature.strategies or (Strategy(name="default"),)
    rules = (_rule(strategy, feature, keys, segments, hostname) for strategy in strategies)
    return tuple(rule for rule in rules if rule is not None)


def _rule(
    strategy: Strategy, feature: Feature, keys: Mapping[int, str], segments: frozenset[int], hostname: str
) -> Rule | None:
    if any(number not in segments for number in strategy.segments or ()):
        return None
    meant = _meant(strategy, hostname)
    if meant is None:
        return None
    condition, rollout = meant
    parts: list[Condition] = [] if condition is None else [condition]
    parts += (condition_of(constraint) for constraint in strategy.constraints or ())
    parts += (InSegment(name=segment_name(number)) for number in strategy.segments or ())
    when = None if not parts else parts[0] if len(parts) == 1 else All(of=tuple(parts))
    return Rule(name=strategy.name, when=when, rollout=rollout, serve=_serve(strategy, feature, keys))


def _meant(strategy: Strategy, hostname: str) -> tuple[Condition | None, Rollout | None] | None:
    """Return whom the strategy itself means, None where nobody: it lacks something, or is not one of Unleash's own."""
    match strategy.name:
        case "default":
            return None, None
        case "userWithId":
            return OneOf(attribute="userId", values=_listed(strategy, "userIds")), None
        case "remoteAddress":
            return networks_of("remoteAddress", _listed(strategy, "IPs")), None
        case "applicationHostname":
            here = hostname.lower() in {name.lower() for name in _listed(strategy, "hostNames")}
            return (None if here else NEVER), None
        case "flexibleRollout":
            return _gradual(strategy, "rollout", _parameter(strategy, "stickiness") or "default")
        case "gradualRolloutRandom":
            return _gradual(strategy, "percentage", "random")
        case "gradualRolloutUserId" | "gradualRolloutSessionId":
            by = "userId" if strategy.name.endswith("UserId") else "sessionId"
            return _gradual(strategy, "percentage", by) if _parameter(strategy, "groupId") else None
    return None


def _gradual(strategy: Strategy, parameter: str, stickiness: str) -> tuple[None, Rollout] | None:
    text = _parameter(strategy, parameter)
    if not (text.isascii() and text.isdigit()):
        return None
    by = _by(stickiness)
    anonymous: Literal["skip", "random"] = "random" if stickiness in {"random", "default"} else "skip"
    salt = _parameter(strategy, "groupId") or None
    percent = min(int(text), 100)
    return None, Rollout(percent=percent, by=by, anonymous=anonymous, salt=salt, bucketing="unleash")


def _serve(strategy: Strategy, feature: Feature, keys: Mapping[int, str]) -> str | Shares:
    if strategy.variants:
        stickiness = _parameter(strategy, "stickiness") or "default"
        return _shares(strategy.variants, stickiness, _parameter(strategy, "groupId") or None, keys)
    if feature.variants:
        return _shares(feature.variants, feature.variants[0].stickiness or "default", None, keys)
    return "on"


def _shares(variants: tuple[Variant, ...], stickiness: str, salt: str | None, keys: Mapping[int, str]) -> str | Shares:
    if not any(variant.weight for variant in variants):
        return "on"
    overrides = tuple(
        Override(attribute=override.context_name, values=override.values or (), variant=keys[id(variant)])
        for variant in variants
        for override in variant.overrides or ()
    )
    portions = tuple(Portion(variant=keys[id(variant)], weight=variant.weight) for variant in variants)
    by = _by(stickiness)
    return Shares(portions=portions, overrides=overrides, by=by, anonymous="random", salt=salt, bucketing="unleash")


def _by(stickiness: str) -> tuple[str, ...]:
    return {"default": ("userId", "sessionId"), "random": ()}.get(stickiness, (stickiness,))


def _parameter(strategy: Strategy, name: str) -> str:
    value = (strategy.parameters or {}).get(name)
    return "" if value is None else str(value)


def _listed(strategy: Strategy, name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in _parameter(strategy, name).split(",") if part.strip())
