"""What a log of slates has to tell about another policy: one row a slate, one column a position.

Legend: N slates, K positions. A slate shorter than K has probabilities of 1 and rewards of 0 where it has no item.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.delivery.ope.checking import checked_probabilities, checked_values, unit_codes

__all__ = ["LoggedSlates"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LoggedSlates:
    """Slates that were logged, seen from a target policy; made by `of`.

    Attributes:
        reward_NK: what each position earned.
        propensity_NK: probability of the item at a position, given the items above it, as logging drew it; above 0.
        target_NK: the target policy's probability of that item, given the same items above it.
        position_propensity_NK: logging's probability of that item at that position whatever is above it.
        position_target_NK: the target policy's, likewise.
        predicted_NK: reward that a model expects of this and all later positions, given the items down to this one,
            when the target policy goes on below; None without a model.
        expected_NK: mean of that prediction over the items that the target policy would put here; None without a model.
        unit_N: 0 … G − 1, slates of one user share it; None where each slate is independent.
    """

    reward_NK: Floats
    propensity_NK: Floats
    target_NK: Floats
    position_propensity_NK: Floats
    position_target_NK: Floats
    predicted_NK: Floats | None = None
    expected_NK: Floats | None = None
    unit_N: npt.NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls,
        reward_NK: npt.ArrayLike,
        propensity_NK: npt.ArrayLike,
        target_NK: npt.ArrayLike,
        *,
        position_propensity_NK: npt.ArrayLike | None = None,
        position_target_NK: npt.ArrayLike | None = None,
        predicted_NK: npt.ArrayLike | None = None,
        expected_NK: npt.ArrayLike | None = None,
        unit_N: npt.NDArray[Any] | None = None,
    ) -> Self:
        """Return the log, checked.

        Probabilities of a position by itself are those given the items above where they are not given: the same where
        positions are drawn independently.

        Raises:
            UserError: an array is empty, has another shape, is not finite, or holds no probabilities; one of a pair is
                given without the other.
        """
        reward = checked_values("reward", reward_NK)
        shape = reward.shape
        if reward.ndim != 2 or not reward.size:
            raise UserError(f"rewards of shape {shape} are not slates: give a row a slate and a column a position.")
        _both("position_propensity and position_target", position_propensity_NK, position_target_NK)
        _both("predicted and expected", predicted_NK, expected_NK)
        propensity = checked_probabilities("propensity", propensity_NK, shape, above_zero=True)
        target = checked_probabilities("target", target_NK, shape)
        return cls(
            reward,
            propensity,
            target,
            propensity
            if position_propensity_NK is None
            else checked_probabilities("position_propensity", position_propensity_NK, shape, above_zero=True),
            target
            if position_target_NK is None
            else checked_probabilities("position_target", position_target_NK, shape),
            None if predicted_NK is None else checked_values("predicted", predicted_NK, shape),
            None if expected_NK is None else checked_values("expected", expected_NK, shape),
            None if unit_N is None else unit_codes(unit_N, len(reward)),
        )

    def cascade_weights(self) -> Floats:
        """Return weights of the items down to each position, ``weight_NK``; those of the last are the slates'."""
        return np.multiply.accumulate(self.target_NK / self.propensity_NK, axis=1)

    def position_weights(self) -> Floats:
        """Return weights of each position by itself, ``weight_NK``."""
        return self.position_target_NK / self.position_propensity_NK


def _both(names: str, one: npt.ArrayLike | None, other: npt.ArrayLike | None) -> None:
    if (one is None) != (other is None):
        raise UserError(f"{names} go together: give both, or neither.")
