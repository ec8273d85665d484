"""Models of the reward of an action in a context, fitted on other rows than those they predict.

A model is anything with ``fit`` that returns what predicts (`RewardModel`): a LightGBM or a network needs a few lines
around it. `LinearRewards` is the one that is always there.

Legend: N rows, M rows to predict, F context features, A actions, D action features, G units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit

from orita.core.errors import UserError
from orita.delivery.ope.checking import checked_values, unit_codes

__all__ = ["LinearRewards", "Predictor", "RewardModel", "cross_fitted"]

Floats = npt.NDArray[np.float64]
Actions = npt.NDArray[np.integer[Any]]
Predictor = Callable[[Floats], Floats]
"""From ``context_MF`` to ``predicted_MA``, the expected reward of every action."""


class RewardModel(Protocol):
    """What can learn rewards."""

    def fit(self, context_NF: Floats, action_N: Actions, reward_N: Floats) -> Predictor:
        """Return what predicts the reward of every action, learned from the rewards of those that were shown."""
        ...


@dataclass(frozen=True, slots=True)
class LinearRewards:
    """Ridge or logistic regression on products of context features and action features, with intercepts.

    Attributes:
        actions: how many there are.
        kind: ``ridge`` for any reward, ``logistic`` for rewards of 0 or 1.
        penalty: weight of half the sum of squared coefficients beside the sum of losses, above 0. Features are
            standardised and the mean reward is taken off first, so coefficients shrink towards that mean.
        action_features_AD: what actions have in common; by default each action learns for itself.
    """

    actions: int
    kind: Literal["ridge", "logistic"] = "ridge"
    penalty: float = 1.0
    action_features_AD: npt.ArrayLike | None = None

    def fit(self, context_NF: Floats, action_N: Actions, reward_N: Floats) -> Predictor:
        """Return what predicts.

        Raises:
            UserError: rewards of a logistic model are not all 0 or 1, or *penalty* is not above 0.
        """
        if self.kind == "logistic" and not np.isin(reward_N, (0, 1)).all():
            raise UserError("a logistic model needs rewards of 0 or 1: use kind='ridge' for others.")
        if not self.penalty > 0:
            raise UserError(f"penalty {self.penalty!r} is not above 0: give how much coefficients shrink, such as 1.")
        actions_AD = self._action_features()
        mean_F, scale_F = context_NF.mean(axis=0), context_NF.std(axis=0)
        scale_F = np.where(scale_F > 0, scale_F, 1.0)

        def standardised(context_MF: Floats) -> Floats:
            return np.hstack([np.ones((len(context_MF), 1)), (context_MF - mean_F) / scale_F])

        logistic = self.kind == "logistic"
        base = float(reward_N.mean())
        if logistic:
            base = float(logit((base * len(reward_N) + 0.5) / (len(reward_N) + 1)))
        weights_FD = _fitted(standardised(context_NF), actions_AD[action_N], reward_N, base, self.penalty, logistic)

        def predict(context_MF: Floats) -> Floats:
            score_MA: Floats = base + standardised(context_MF) @ weights_FD @ actions_AD.T
            return expit(score_MA) if logistic else score_MA

        return predict

    def _action_features(self) -> Floats:
        if self.action_features_AD is None:
            return np.eye(self.actions)
        given_AD = checked_values("action_features", self.action_features_AD)
        if given_AD.ndim != 2 or len(given_AD) != self.actions:
            raise UserError(f"action features of shape {given_AD.shape} need a row for each of {self.actions} actions.")
        return np.hstack([np.ones((self.actions, 1)), given_AD])


def cross_fitted(
    model: RewardModel,
    context_NF: npt.ArrayLike,
    action_N: Actions,
    reward_N: npt.ArrayLike,
    *,
    folds: int = 5,
    seed: int = 0,
    unit_N: npt.NDArray[Any] | None = None,
) -> Floats:
    """Return ``predicted_NA``: each row's predictions by a model that was fitted without that row's unit.

    Args:
        model: what learns.
        context_NF: what was known when the action was drawn.
        action_N: the action shown, 0 … A − 1.
        reward_N: what it earned.
        folds: parts of the units, at least 2; a model is fitted on all but one.
        seed: of the parting.
        unit_N: rows of one user or request share it; by default each row is one.

    Raises:
        UserError: shapes differ, values are not finite, or there are fewer units than *folds*.

    Source: Chernozhukov et al. (2018), Double/debiased machine learning for treatment and structural parameters.
    """
    reward = checked_values("reward", reward_N)
    context = checked_values("context", context_NF)
    if context.ndim != 2 or len(context) != len(reward) or len(action_N) != len(reward):
        raise UserError(
            f"context of shape {context.shape} and {len(action_N):,} actions do not fit {len(reward):,} rewards: give "
            "a row of context, an action and a reward a decision."
        )
    units = np.arange(len(reward)) if unit_N is None else unit_codes(unit_N, len(reward))
    count = int(units.max(initial=-1)) + 1
    if not 2 <= folds <= count:
        raise UserError(f"folds {folds} is not between 2 and the {count:,} units: give fewer folds, or more units.")
    fold_N = (np.random.default_rng(seed).permutation(count) % folds)[units]
    parts = []
    for fold in range(folds):
        others_N = fold_N != fold
        parts.append(model.fit(context[others_N], action_N[others_N], reward[others_N])(context[~others_N]))
    predicted_NA = np.empty((len(reward), parts[0].shape[1]))
    for fold, part_MA in enumerate(parts):
        predicted_NA[fold_N == fold] = part_MA
    return checked_values("predictions of the model", predicted_NA)


def _fitted(x_NF: Floats, action_ND: Floats, reward_N: Floats, base: float, penalty: float, logistic: bool) -> Floats:
    """Return the coefficients of least penalised loss; their products are never laid out row by row."""
    shape = (x_NF.shape[1], action_ND.shape[1])

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights_FD = flat.reshape(shape)
        score_N = base + np.einsum("nd,nd->n", x_NF @ weights_FD, action_ND)
        if logistic:
            total = float(np.logaddexp(0, score_N).sum() - reward_N @ score_N)
            error_N = expit(score_N) - reward_N
        else:
            error_N = score_N - reward_N
            total = float(error_N @ error_N) / 2
        gradient_FD = x_NF.T @ (error_N[:, None] * action_ND) + penalty * weights_FD
        return total + penalty / 2 * float(flat @ flat), gradient_FD.ravel()

    start = np.zeros(shape[0] * shape[1])
    options = {"maxiter": 500, "ftol": 1e-10, "gtol": 1e-6 * max(len(reward_N), 1)}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    weights_FD: Floats = found.x.reshape(shape)
    return weights_FD
