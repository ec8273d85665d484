"""The documents of Unleash's client API, as far as they decide what a flag serves; what else they hold is ignored."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

__all__ = ["Constraint", "Delta", "Dependency", "Event", "Feature", "Features", "Segment", "Strategy", "Variant"]


class _Document(Struct, frozen=True, rename="camel", kw_only=True):
    """A part of a document."""


class Constraint(_Document, frozen=True, kw_only=True):
    """What an attribute must be."""

    context_name: str
    operator: str
    values: tuple[str, ...] | None = None
    value: str | None = None
    inverted: bool | None = False
    case_insensitive: bool | None = False


class Segment(_Document, frozen=True, kw_only=True):
    """Constraints that strategies share."""

    id: int
    constraints: tuple[Constraint, ...] | None = None


class VariantOverride(_Document, frozen=True, kw_only=True):
    """Whose attribute is one of the values gets the variant."""

    context_name: str
    values: tuple[str, ...] | None = None


class Variant(_Document, frozen=True, kw_only=True):
    """A variant of a feature or of a strategy."""

    name: str
    weight: int = 0
    stickiness: str | None = None
    payload: dict[str, Any] | None = None
    overrides: tuple[VariantOverride, ...] | None = None


class Strategy(_Document, frozen=True, kw_only=True):
    """Whom a feature is on for."""

    name: str
    parameters: dict[str, Any] | None = None
    constraints: tuple[Constraint, ...] | None = None
    segments: tuple[int, ...] | None = None
    variants: tuple[Variant, ...] | None = None


class Dependency(_Document, frozen=True, kw_only=True):
    """What another feature must be."""

    feature: str
    enabled: bool | None = None
    variants: tuple[str, ...] | None = None


class Feature(_Document, frozen=True, kw_only=True):
    """A feature."""

    name: str
    description: str | None = None
    enabled: bool = False
    strategies: tuple[Strategy, ...] | None = None
    variants: tuple[Variant, ...] | None = None
    dependencies: tuple[Dependency, ...] | None = None


class Features(_Document, frozen=True, kw_only=True):
    """All features."""

    features: tuple[Feature, ...]
    segments: tuple[Segment, ...] | None = None


class Event(_Document, frozen=True, kw_only=True):
    """A change, as the streaming API tells it."""

    type: str
    feature: Feature | None = None
    feature_name: str | None = None
    segment: Segment | None = None
    segment_id: int | None = None
    features: tuple[Feature, ...] | None = None
    segments: tuple[Segment, ...] | None = None


class Delta(_Document, frozen=True, kw_only=True):
    """Changes, the oldest first."""

    events: tuple[Event, ...]
