"""Who is in an experiment, and in which variant: overrides, holdouts, the layer, the audience, then the split.

    experiment = Experiment("checkout", Split.of({"control": 50, "treatment": 50}), layer=layer, by=("user_id",))
    experiment.assign({"user_id": 12, "country": "SE"})         # Assigned('treatment', 'assigned', 12)
    experiment.variants(ids)                                    # for analysis, the same

The steps are in this order so that who is held out stays so whatever the audience is, and an override, which is for
people who look at a variant and not for users, works everywhere; who was overridden is to be left out of the analysis.

Legend: N units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from orita.core.errors import UserError, closest
from orita.delivery.assignment.conditions import Condition
from orita.delivery.assignment.hashing import Unit, fraction_by, fractions
from orita.delivery.assignment.layers import Holdout, Layer
from orita.delivery.assignment.matching import Attributes, Matcher, asks_time, matcher
from orita.delivery.assignment.overrides import Override, Overriding, overriding
from orita.delivery.assignment.split import Split
from orita.delivery.assignment.units import unit_of

__all__ = ["Assigned", "Experiment", "Reason"]

Reason = Literal["assigned", "overridden", "held_out", "not_in_layer", "not_in_audience", "no_unit"]


@dataclass(frozen=True, slots=True)
class Assigned:
    """What an experiment says of a request.

    Attributes:
        variant: None where the request is not in the experiment.
        reason: why so.
        unit: who was assigned, None where the request names nobody.
    """

    variant: str | None
    reason: Reason
    unit: Unit | None = None


class Experiment(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True):
    """An experiment, as assignment sees it.

    Attributes:
        key: its name, also the salt of its split, so that two experiments are independent.
        split: its variants.
        by: attributes that name the unit; the first that is there counts.
        layer: where its users are allocated; without one, all may be in it.
        holdouts: who is kept out.
        audience: who is meant; without one, everybody.
        overrides: who sees a variant whatever else is true.
        segments: the conditions that the audience names.

    Raises:
        UserError: the layer holds nothing of it, an override names no variant, or the audience cannot be read or asks
            for the time, which would let users come and go.
    """

    key: str
    split: Split
    by: tuple[str, ...] = ("targetingKey",)
    layer: Layer | None = None
    holdouts: tuple[Holdout, ...] = ()
    audience: Condition | None = None
    overrides: tuple[Override, ...] = ()
    segments: Mapping[str, Condition] = {}  # msgspec gives each experiment its own

    def __post_init__(self) -> None:
        if self.layer is not None and self.key not in self.layer.slices:
            raise UserError(
                f"experiment {self.key!r} owns nothing of layer {self.layer.name!r}: allocate a share first. "
                f"{closest(self.key, self.layer.slices)}"
            )
        for override in self.overrides:
            if override.variant not in self.split.weights:
                raise UserError(
                    f"experiment {self.key!r} overrides with {override.variant!r}, which is none of its variants. "
                    f"{closest(override.variant, self.split.weights)}"
                )
        if self._meant is not None and self.audience is not None and asks_time(self.audience, self.segments):
            raise UserError(
                f"the audience of experiment {self.key!r} asks for the time, which would let users come and go: "
                "give the experiment a beginning and an end."
            )

    @cached_property
    def _meant(self) -> Matcher | None:
        return None if self.audience is None else matcher(self.audience, self.segments, float)

    @cached_property
    def _overriding(self) -> Overriding | None:
        return overriding(self.overrides)

    def assign(self, attributes: Attributes) -> Assigned:
        """Return what *attributes* are assigned to; nothing that they hold raises."""
        unit = unit_of(attributes, self.by)
        if self._overriding is not None and (variant := self._overriding(attributes)) is not None:
            return Assigned(variant, "overridden", unit)
        if unit is None:
            return Assigned(None, "no_unit")
        if any(holdout.holds(unit) for holdout in self.holdouts):
            return Assigned(None, "held_out", unit)
        if self.layer is not None and self.layer.owner(unit) != self.key:
            return Assigned(None, "not_in_layer", unit)
        if self._meant is not None and not self._meant(attributes, None):
            return Assigned(None, "not_in_audience", unit)
        return Assigned(self.split.variant(fraction_by(self.key)(unit)), "assigned", unit)

    def variants(self, units_N: Iterable[Unit] | npt.NDArray[np.generic]) -> npt.NDArray[np.str_]:
        """Return the variant of each unit, '' where it is in none: holdouts, layer and split, as `assign` says.

        Overrides and the audience are about attributes, which are not given: apply the audience to the rows first.

        Raises:
            UserError: a unit cannot be assigned.
        """
        units = units_N if isinstance(units_N, np.ndarray) else list(units_N)
        variants_N = self.split.variants(fractions(self.key, units))
        inside_N = np.ones(len(variants_N), bool)
        for holdout in self.holdouts:
            inside_N &= ~holdout.held(units)
        if self.layer is not None:
            inside_N &= self.layer.owned(self.key, units)
        return np.where(inside_N, variants_N, "")
