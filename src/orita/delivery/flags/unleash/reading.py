"""Features of Unleash as flags.

A feature without variants becomes a boolean flag. One with variants serves objects: ``{"enabled": true, "name": …,
"payload": …}``, or ``{"enabled": false}`` where it is off. A feature whose parents can never be as it wants (one is
missing, or depends on others itself, which Unleash does not follow) is off for everybody.

Source: the Unleash client specification 6.1.0, https://github.com/Unleash/client-specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from orita.core.errors import UserError
from orita.delivery.assignment.conditions import All, Condition
from orita.delivery.flags.declarations import Flag, FlagFile, Prerequisite
from orita.delivery.flags.unleash.constraints import condition_of
from orita.delivery.flags.unleash.documents import Delta, Dependency, Event, Feature, Features, Segment, Variant
from orita.delivery.flags.unleash.strategies import rules_of, segment_name

__all__ = ["read_unleash"]


def read_unleash(document: bytes | str | Mapping[str, Any], *, hostname: str = "") -> FlagFile:
    """Return the flags of a document of Unleash's client API.

    Args:
        document: of ``/api/client/features``, or the changes of ``/api/client/delta`` from their hydration on; as JSON
            or decoded.
        hostname: of the machine that evaluates them, for the strategy applicationHostname.

    Raises:
        UserError: it is neither.
    """
    try:
        decoded = msgspec.json.decode(document) if isinstance(document, bytes | str) else document
        if isinstance(decoded, Mapping) and "events" in decoded:
            features, segments = _replayed(msgspec.convert(decoded, Delta).events)
        else:
            told = msgspec.convert(decoded, Features)
            features = {feature.name: feature for feature in told.features}
            segments = {segment.id: segment for segment in told.segments or ()}
    except msgspec.DecodeError as error:
        raise UserError(f"this is no document of Unleash's client API: {error}.") from None
    named = frozenset(segments)
    flags = tuple(_flag(feature, features, named, hostname) for feature in features.values())
    conditions: dict[str, Condition] = {
        segment_name(segment.id): All(of=tuple(condition_of(constraint) for constraint in segment.constraints or ()))
        for segment in segments.values()
    }
    return FlagFile(flags=flags, segments=conditions)


def _replayed(events: tuple[Event, ...]) -> tuple[dict[str, Feature], dict[int, Segment]]:
    """Return the features and segments that there are after *events*."""
    features: dict[str, Feature] = {}
    segments: dict[int, Segment] = {}
    for event in events:
        match event:
            case Event(type="hydration"):
                features = {feature.name: feature for feature in event.features or ()}
                segments = {segment.id: segment for segment in event.segments or ()}
            case Event(type="feature-updated", feature=Feature() as feature):
                features[feature.name] = feature
            case Event(type="feature-removed", feature_name=str(name)):
                features.pop(name, None)
            case Event(type="segment-updated", segment=Segment() as segment):
                segments[segment.id] = segment
            case Event(type="segment-removed", segment_id=int(number)):
                segments.pop(number, None)
    return features, segments


def _flag(feature: Feature, features: Mapping[str, Feature], segments: frozenset[int], hostname: str) -> Flag:
    variants = _variants(feature)
    keys = _keys(variants)
    wanted = [_prerequisite(dependency, feature, features) for dependency in feature.dependencies or ()]
    values: dict[str, Any] = {"on": {"enabled": True}, "off": {"enabled": False}}
    values |= {keys[id(variant)]: _value(variant) for variant in variants}
    return Flag(
        key=feature.name,
        description=feature.description or "",
        kind="multivariate" if variants else "boolean",
        variants=values if variants else {"on": True, "off": False},
        default="off",
        off="off",
        enabled=feature.enabled and None not in wanted,
        rules=rules_of(feature, keys, segments, hostname),
        prerequisites=tuple(prerequisite for prerequisite in wanted if prerequisite is not None),
    )


def _prerequisite(dependency: Dependency, feature: Feature, features: Mapping[str, Feature]) -> Prerequisite | None:
    """Return what the parent must serve, None where it never can."""
    parent = features.get(dependency.feature)
    if parent is None or parent is feature or parent.dependencies:
        return None
    if dependency.enabled is False:
        return Prerequisite(flag=parent.name, variants=("off",))
    variants = _variants(parent)
    keys = _keys(variants)
    names = dependency.variants or tuple(variant.name for variant in variants)
    matching = dict.fromkeys(keys[id(variant)] for variant in variants if variant.name in names)
    return Prerequisite(flag=parent.name, variants=("on", *matching))


def _variants(feature: Feature) -> list[Variant]:
    own = [variant for strategy in feature.strategies or () for variant in strategy.variants or ()]
    return [*own, *(feature.variants or ())]


def _keys(variants: list[Variant]) -> dict[int, str]:
    """Return our name for each variant, by its identity: its own, and a number where that is taken by another value."""
    taken: dict[str, Any] = {"on": None, "off": None}
    keys: dict[int, str] = {}
    for variant in variants:
        key, number = variant.name, 1
        while key in taken and taken[key] != _value(variant):
            number += 1
            key = f"{variant.name}#{number}"
        taken[key] = _value(variant)
        keys[id(variant)] = key
    return keys


def _value(variant: Variant) -> dict[str, Any]:
    payload = {} if variant.payload is None else {"payload": variant.payload}
    return {"enabled": True, "name": variant.name, **payload}
