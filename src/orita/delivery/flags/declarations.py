"""What a flag is: its variants, and who gets which, as JSON and YAML write it.

    flags:
      - key: new-checkout
        rules:
          - when: {is: in, attribute: country, values: [SE, DK]}
            rollout: {percent: 50, by: user_id}
            serve: "on"

A flag that is `enabled` serves the first of: an override, the first rule that applies, `default`. One that is not, or
whose prerequisites are not met, serves `off`. A unit is who is split: by default the ``targetingKey`` of OpenFeature.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from orita.delivery.assignment.conditions import Condition
from orita.delivery.assignment.overrides import Override

__all__ = ["Flag", "FlagFile", "Portion", "Prerequisite", "Rollout", "Rule", "Schedule", "Shares", "Step"]

Percent = Annotated[float, Meta(ge=0, le=100)]
Instant = Annotated[datetime, Meta(tz=True)]
Name = Annotated[str, Meta(min_length=1)]
By = Name | tuple[Name, ...]

TARGETING_KEY = "targetingKey"
"""The attribute that names the unit in OpenFeature and its remote protocol."""


class _Declared(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A part of a declaration: it cannot change, and refuses keys it does not know."""


class Schedule(_Declared, frozen=True, kw_only=True, rename={"from_": "from"}):
    """When something holds: from the first instant on, and before the second.

    Attributes:
        from_: ``from`` in a file; none: always before `until`.
        until: none: for ever.
    """

    from_: Instant | None = None
    until: Instant | None = None


class Step(_Declared, frozen=True, kw_only=True):
    """A rollout is *percent* from the instant *at* on, until the next step."""

    at: Instant
    percent: Percent


class Rollout(_Declared, frozen=True, kw_only=True):
    """A share of the units: who is in stays in when it grows.

    Attributes:
        percent: now, and before the first of `steps`.
        steps: the shares of later times, in order.
        by: the attributes that name the unit; the first that is there counts.
        anonymous: what becomes of whom none of them names: ``skip``, the rule does not apply; ``random``, the dice
            are thrown at each evaluation.
        salt: another than the flag's, for a share that is independent of its other rollouts or equal to another flag's.
        bucketing: ``unleash`` for that product's hash and its 100 buckets.
    """

    percent: Percent = 0
    steps: tuple[Step, ...] = ()
    by: By = TARGETING_KEY
    anonymous: Literal["skip", "random"] = "skip"
    salt: str | None = None
    bucketing: Literal["orita", "unleash"] = "orita"


class Portion(_Declared, frozen=True, kw_only=True):
    """A part of the units: percent, up to four decimals; with ``bucketing: unleash`` a whole number of that total."""

    variant: str
    weight: Annotated[float, Meta(ge=0)]


class Shares(_Declared, frozen=True, kw_only=True):
    """Variants by shares of the units.

    Attributes:
        portions: in the order in which they lie, which decides who moves when weights change: take the portions of
            `Split.reweighted` to move as few as can be.
        overrides: who gets a variant of these without the dice.
        by, anonymous, salt, bucketing: as for `Rollout`.
    """

    portions: Annotated[tuple[Portion, ...], Meta(min_length=1)]
    overrides: tuple[Override, ...] = ()
    by: By = TARGETING_KEY
    anonymous: Literal["skip", "random"] = "skip"
    salt: str | None = None
    bucketing: Literal["orita", "unleash"] = "orita"


class Rule(_Declared, frozen=True, kw_only=True):
    """Whom it means, and what they get.

    Attributes:
        serve: a variant, or shares of several.
        name: for people and for the evaluation's metadata.
        when: without one, everybody is meant.
        rollout: without one, all of them are.
        schedule: without one, always.
    """

    serve: str | Shares
    name: str = ""
    when: Condition | None = None
    rollout: Rollout | None = None
    schedule: Schedule | None = None


class Prerequisite(_Declared, frozen=True, kw_only=True):
    """Another flag must serve one of *variants* for the same request."""

    flag: Name
    variants: Annotated[tuple[str, ...], Meta(min_length=1)]


class Flag(_Declared, frozen=True, kw_only=True):
    """A flag.

    Attributes:
        key: its name in code.
        description: for people.
        kind: ``boolean`` has the variants on and off and serves off unless it says otherwise; ``multivariate`` names
            its variants, all of one type: boolean, text, number or object.
        variants: value by name.
        default: the variant of whom no rule means.
        off: the variant of everybody while it is not enabled or its prerequisites are not met.
        enabled: false is the kill switch.
        rules: in order; the first that applies decides.
        prerequisites: all must be met.
        overrides: who gets a variant before any rule.
        schedule: outside of it the flag is as if it were not enabled.
    """

    key: Name
    description: str = ""
    kind: Literal["boolean", "multivariate"] = "boolean"
    variants: dict[str, Any] | UnsetType = UNSET
    default: str | UnsetType = UNSET
    off: str | UnsetType = UNSET
    enabled: bool = True
    rules: tuple[Rule, ...] = ()
    prerequisites: tuple[Prerequisite, ...] = ()
    overrides: tuple[Override, ...] = ()
    schedule: Schedule | None = None


class FlagFile(_Declared, frozen=True, kw_only=True):
    """Flags, and the segments that they name."""

    flags: tuple[Flag, ...] = ()
    segments: dict[str, Condition] = {}
