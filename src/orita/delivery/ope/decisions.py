"""What a log of single decisions has to tell about another policy: one row a decision, one action shown in each.

Legend: N rows, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.delivery.ope.checking import checked_probabilities, checked_values, unit_codes

__all__ = ["LoggedDecisions"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LoggedDecisions:
    """Decisions that were logged, seen from a target policy; made by `of` or `of_matrices`.

    Attributes:
        reward_N: what each decision earned.
        propensity_N: probability with which logging chose the action that it showed, above 0.
        target_N: probability with which the target policy would have chosen that action, 0 … 1.
        predicted_N: reward that a model expects of the action shown; None without a model.
        expected_N: reward that the model expects of the target policy, Σ over actions of its probability times the
            prediction; None without a model.
        unit_N: 0 … G − 1, rows of one user or request share it; None where each row is independent.
    """

    reward_N: Floats
    propensity_N: Floats
    target_N: Floats
    predicted_N: Floats | None = None
    expected_N: Floats | None = None
    unit_N: npt.NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls,
        reward_N: npt.ArrayLike,
        propensity_N: npt.ArrayLike,
        target_N: npt.ArrayLike,
        *,
        predicted_N: npt.ArrayLike | None = None,
        expected_N: npt.ArrayLike | None = None,
        unit_N: npt.NDArray[Any] | None = None,
    ) -> Self:
        """Return the log, checked; units may be ids of any type that can be sorted.

        A model's predictions of a row must come from other rows than that row's unit (`cross_fitted`), or the
        intervals of estimators that use them are too narrow.

        Raises:
            UserError: an array is empty, has another shape, is not finite, or holds no probabilities; one of
                *predicted_N* and *expected_N* is given without the other.
        """
        reward = checked_values("reward", reward_N)
        shape = reward.shape
        if reward.ndim != 1 or not len(reward):
            raise UserError(f"rewards of shape {shape} are not one value a decision: give a vector of at least one.")
        if (predicted_N is None) != (expected_N is None):
            raise UserError(
                "predictions of the shown action and of the target policy go together: give both predicted and "
                "expected, or neither."
            )
        return cls(
            reward,
            checked_probabilities("propensity", propensity_N, shape, above_zero=True),
            checked_probabilities("target", target_N, shape),
            None if predicted_N is None else checked_values("predicted", predicted_N, shape),
            None if expected_N is None else checked_values("expected", expected_N, shape),
            None if unit_N is None else unit_codes(unit_N, len(reward)),
        )

    @classmethod
    def of_matrices(
        cls,
        reward_N: npt.ArrayLike,
        action_N: npt.NDArray[np.integer[Any]],
        logging_NA: npt.ArrayLike,
        target_NA: npt.ArrayLike,
        *,
        predicted_NA: npt.ArrayLike | None = None,
        unit_N: npt.NDArray[Any] | None = None,
    ) -> Self:
        """Return the log where probabilities, and the model's predictions if any, are known of all actions.

        Args:
            reward_N: what each decision earned.
            action_N: the action shown, 0 … A − 1.
            logging_NA: the logging policy's probabilities; rows add up to 1.
            target_NA: the target policy's, likewise.
            predicted_NA: reward that a model expects of each action (`cross_fitted`).
            unit_N: as in `of`.

        Raises:
            UserError: as `of`; an action is not a column, or the probabilities of a row do not add up to 1.
        """
        rows = np.arange(len(action_N))
        shown = np.asarray(action_N)
        shape = np.asarray(logging_NA).shape
        if len(shape) != 2 or shape[0] != len(shown) or shown.min(initial=0) < 0 or shown.max(initial=0) >= shape[1]:
            raise UserError(
                f"actions {shown.min(initial=0)} … {shown.max(initial=0)} of {len(shown):,} rows do not fit logging "
                f"probabilities of shape {shape}: give a row a decision and a column an action, counted from 0."
            )
        logging = checked_probabilities("propensity", logging_NA, shape, whole_rows=True)
        target = checked_probabilities("target", target_NA, shape, whole_rows=True)
        if predicted_NA is None:
            return cls.of(reward_N, logging[rows, shown], target[rows, shown], unit_N=unit_N)
        predicted = checked_values("predicted", predicted_NA, shape)
        return cls.of(
            reward_N,
            logging[rows, shown],
            target[rows, shown],
            predicted_N=predicted[rows, shown],
            expected_N=(target * predicted).sum(axis=1),
            unit_N=unit_N,
        )

    def weights(self) -> Floats:
        """Return the importance weights, ``weight_N``: target over logging probability of the action shown."""
        return self.target_N / self.propensity_N
