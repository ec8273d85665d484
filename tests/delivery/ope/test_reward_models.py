"""Reward models solve what they say, and never see the rows that they predict."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit

from orita.core.errors import UserError
from orita.delivery.ope import LinearRewards, cross_fitted
from orita.delivery.ope.reward_models import Actions, Predictor

Floats = npt.NDArray[np.float64]


def world(rows: int) -> tuple[Floats, Actions, Floats, Floats]:
    """Return contexts, actions, clicks and the chances of all actions."""
    random = np.random.default_rng(0)
    context, action = random.normal(size=(rows, 3)) * 2 + 1, random.integers(4, size=rows)
    chance = expit(context @ random.normal(size=(3, 4)) * 0.5 - 0.5)
    return context, action, (random.random(rows) < chance[np.arange(rows), action]).astype(np.float64), chance


def test_ridge_is_its_closed_form() -> None:
    """Predictions are those of the normal equations, action by action, on standardised contexts."""
    context, action, reward, _ = world(300)
    found = LinearRewards(4, penalty=2.0).fit(context, action, reward)(context)
    x = np.hstack([np.ones((300, 1)), (context - context.mean(axis=0)) / context.std(axis=0)])
    for each in range(4):
        own = action == each
        gram = x[own].T @ x[own] + 2.0 * np.eye(4)
        wanted = reward.mean() + x @ np.linalg.solve(gram, x[own].T @ (reward[own] - reward.mean()))
        assert found[:, each] == pytest.approx(wanted, abs=1e-4)


def test_action_features_let_actions_learn_from_each_other() -> None:
    """An action that was never shown is predicted by what it has in common with others; by itself it has the mean."""
    random = np.random.default_rng(1)
    features = np.arange(5.0)[:, None]
    action = random.integers(4, size=2000)
    reward, context = features[action, 0] * 2.0, np.zeros((2000, 1))
    shared = LinearRewards(5, penalty=0.01, action_features_AD=features).fit(context, action, reward)(context)
    apart = LinearRewards(5, penalty=0.01).fit(context, action, reward)(context)
    assert shared[0] == pytest.approx([0, 2, 4, 6, 8], abs=0.01)
    assert apart[0, 4] == pytest.approx(reward.mean())


def test_logistic_finds_the_chances() -> None:
    """On 20,000 clicks the chances of a logistic world are found within 0.03; a mean would be off by over 0.2."""
    context, action, reward, chance = world(20_000)
    found = LinearRewards(4, "logistic").fit(context, action, reward)(context)
    assert np.sqrt(((found - chance) ** 2).mean()) < 0.03
    assert np.sqrt(((reward.mean() - chance) ** 2).mean()) > 0.2
    assert ((found > 0) & (found < 1)).all()


class Remembering:
    """A model that predicts 1 for contexts that it was fitted on, else 0."""

    def fit(self, context_NF: Floats, action_N: Actions, reward_N: Floats) -> Predictor:
        """Return what tells the contexts that it knows."""
        known = set(context_NF[:, 0])
        return lambda context_MF: np.array([[float(value in known)] * 2 for value in context_MF[:, 0]])


def test_no_row_is_predicted_by_a_model_that_saw_its_unit() -> None:
    """With units that share a context, memory never helps; parted by rows it would."""
    unit = np.repeat(np.arange(20), 5)
    context, action, reward = unit[:, None].astype(np.float64), np.zeros(100, np.int64), np.zeros(100)
    assert not cross_fitted(Remembering(), context, action, reward, unit_N=unit).any()
    assert cross_fitted(Remembering(), context, action, reward).any()


def test_cross_fitting_is_repeatable_and_refuses_what_it_cannot_do() -> None:
    """The same seed gives the same predictions; wrong shapes, folds, rewards and penalties are told."""
    context, action, reward, _ = world(60)
    model = LinearRewards(4)
    first = cross_fitted(model, context, action, reward, seed=3)
    assert (first == cross_fitted(model, context, action, reward, seed=3)).all()
    with pytest.raises(UserError, match="folds 61 is not between 2 and the 60 units"):
        cross_fitted(model, context, action, reward, folds=61)
    with pytest.raises(UserError, match=r"context of shape \(59, 3\)"):
        cross_fitted(model, context[1:], action, reward)
    with pytest.raises(UserError, match="rewards of 0 or 1"):
        LinearRewards(4, "logistic").fit(context, action, reward * 2)
    with pytest.raises(UserError, match="penalty 0 is not above 0"):
        LinearRewards(4, penalty=0).fit(context, action, reward)
    with pytest.raises(UserError, match="need a row for each of 4 actions"):
        LinearRewards(4, action_features_AD=np.ones((3, 1))).fit(context, action, reward)
