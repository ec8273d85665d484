"""Rollouts and shares as functions of the attributes: who is in, which variant.

Orita's own are the assignment's; ``bucketing: unleash`` is that product's, so that its flags keep their users:
MurmurHash3_x86_32 of ``group:unit``, modulo the total, plus one (Unleash client specification, gradual rollout and
variants, whose seed is the prime 86028157). Here the one is not added, so a place is below a limit, not at most it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate

from mmh3 import mmh3_32_uintdigest

from orita.delivery.assignment.attribute_tests import Attributes, Matcher, Now
from orita.delivery.assignment.hashing import Unit, fraction_by, unit_bytes
from orita.delivery.assignment.overrides import overriding
from orita.delivery.assignment.split import Split
from orita.delivery.assignment.units import unit_of
from orita.delivery.flags.declarations import By, Rollout, Shares

__all__ = ["Draw", "chooser", "gate"]

Draw = Callable[[], float]
"""Returns a random number in [0, 1)."""

_VARIANT_SEED = 86_028_157
_Place = Callable[[Attributes], float | None]


def gate(rollout: Rollout, flag: str, now: Now, draw: Draw) -> Matcher:
    """Return the function that tells whether a request is within *rollout* of a *flag*, at a time or now."""
    of, whole = _hash(rollout, f"{flag}/rollout", flag, 0, 100)
    limits = [share * whole / 100 for share in (rollout.percent, *(step.percent for step in rollout.steps))]
    by, place = _names(rollout.by), _place(rollout, of, whole, draw)
    if rollout.steps:
        return _gate_in_steps(place, limits, [step.at.timestamp() for step in rollout.steps], now)
    (limit,) = limits
    first = by[0] if by else ""

    def within(attributes: Attributes, _: float | None) -> bool:
        unit = attributes.get(first)
        if type(unit) is str and unit:  # what nearly all requests have, without a further call
            return of(unit) < limit
        number = place(attributes)
        return number is not None and number < limit

    return within


def chooser(shares: Shares, flag: str, draw: Draw) -> Callable[[Attributes], str | None]:
    """Return the function from attributes to the variant of *shares* of a *flag*, None where they do not apply."""
    weights = [portion.weight for portion in shares.portions]
    names = [portion.variant for portion in shares.portions]
    of, whole = _hash(shares, f"{flag}/split", flag, _VARIANT_SEED, int(sum(weights)))
    place, override = _place(shares, of, whole, draw), overriding(shares.overrides)
    variant_at = _unleash_variants(names, weights) if shares.bucketing == "unleash" else _variants(names, weights)

    def variant(attributes: Attributes) -> str | None:
        if override is not None and (chosen := override(attributes)) is not None:
            return chosen
        number = place(attributes)
        return None if number is None else variant_at(number)

    return variant


def _gate_in_steps(place: _Place, limits: list[float], times: list[float], now: Now) -> Matcher:
    def within(attributes: Attributes, at: float | None) -> bool:
        number = place(attributes)
        return number is not None and number < limits[bisect_right(times, now() if at is None else at)]

    return within


def _variants(names: list[str], weights: list[float]) -> Callable[[float], str]:
    return Split(tuple(zip(names, weights, strict=True))).variant


def _unleash_variants(names: list[str], weights: list[float]) -> Callable[[float], str]:
    ends = list(accumulate(weights))
    return lambda place: names[bisect_right(ends, place)]


def _place(dice: Rollout | Shares, of: Callable[[Unit], float], whole: int, draw: Draw) -> _Place:
    """Return the function from attributes to where in 0 … *whole* they are, None where the dice do not apply."""
    by, random = _names(dice.by), dice.anonymous == "random"

    def place(attributes: Attributes) -> float | None:
        if (unit := unit_of(attributes, by)) is not None:
            return of(unit)
        return draw() * whole if random else None

    return place


def _hash(
    dice: Rollout | Shares, salt: str, group: str, seed: int, buckets: int
) -> tuple[Callable[[Unit], float], int]:
    """Return the function from a unit to its place, and what places go up to: 1, or the *buckets* of Unleash."""
    if dice.bucketing == "orita":
        return fraction_by(dice.salt or salt), 1
    prefix = (dice.salt or group).encode("utf-8", "surrogatepass") + b":"
    return lambda unit: mmh3_32_uintdigest(prefix + unit_bytes(unit), seed) % buckets, buckets


def _names(by: By) -> tuple[str, ...]:
    return (by,) if isinstance(by, str) else by
