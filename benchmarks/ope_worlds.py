"""Worlds of single decisions whose value is known of every policy: a table of contexts, actions, chances of a click.

Contexts are drawn from the table with replacement, so a policy's value is a finite sum, not an estimate. In the world
of ``segments`` clicks depend on one of 20 user segments and the action, in any way; in the ``linear`` one their log
odds are linear in five numbers of the context. Those of slates are in `benchmarks.ope_slate_worlds`.

Legend: M contexts of the table, F context features, A actions, N rows of a log.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from orita.delivery.ope import LinearRewards, RewardModel
from orita.delivery.ope.reward_models import Actions, Predictor

Floats = npt.NDArray[np.float64]
SEGMENTS, ACTIONS, CONTEXTS = 20, 10, 5000


@dataclass(frozen=True)
class World:
    """A world of single decisions."""

    context_MF: Floats
    chance_MA: Floats
    logging_MA: Floats
    policies: dict[str, Floats]
    models: dict[str, RewardModel]

    def value(self, policy: str) -> float:
        """Return what a policy earns."""
        return float((self.policies[policy] * self.chance_MA).sum(axis=1).mean())


@dataclass(frozen=True)
class CellMeans:
    """Rewards as means by action, or by segment and action, drawn towards the mean of all by two rows."""

    by_segment: bool

    def fit(self, context_NF: Floats, action_N: Actions, reward_N: Floats) -> Predictor:
        """Return what predicts."""
        seen_NF = context_NF if self.by_segment else np.ones((len(context_NF), 1))
        shown_NA = np.eye(ACTIONS)[action_N]
        sum_FA, count_FA = seen_NF.T @ (shown_NA * reward_N[:, None]), seen_NF.T @ shown_NA
        mean_FA = (sum_FA + 2 * reward_N.mean()) / (count_FA + 2)
        return lambda context_MF: (context_MF if self.by_segment else np.ones((len(context_MF), 1))) @ mean_FA


@cache
def decision_world(kind: str, seed: int = 0) -> World:
    """Return the world of ``segments`` or the ``linear`` one.

    The near policy is the logged one, sharper; the middle one ranks by other scores; the far one all but always takes
    the best by a third scoring. Scores are half the true log odds, half noise of the same form.
    """
    random = np.random.default_rng(seed)
    if kind == "linear":
        numbers = np.clip(random.normal(size=(CONTEXTS, 5)), -2, 2)
        odds = numbers @ random.normal(size=(5, ACTIONS)) * 0.4 + random.normal(size=ACTIONS) * 0.5 - 1.2
        scores = [odds / 2 + numbers @ random.normal(size=(5, ACTIONS)) * 0.2 for _ in range(3)]
        context = numbers
        right: RewardModel = LinearRewards(ACTIONS, "logistic")
    else:
        segment = random.integers(SEGMENTS, size=CONTEXTS)
        odds = (random.normal(size=(SEGMENTS, ACTIONS)) * 0.9 - 1.2)[segment]
        scores = [odds / 2 + (random.normal(size=(SEGMENTS, ACTIONS)) * 0.45)[segment] for _ in range(3)]
        context, right = np.eye(SEGMENTS)[segment], CellMeans(by_segment=True)
    first, second, third = (each - each.mean(axis=1, keepdims=True) for each in scores)
    policies = {
        "near": mixed(2.0 * first, 0.1),
        "middle": mixed(2.0 * second, 0.1),
        "far": mixed(8.0 * third, 0.02),
    }
    models = {"right": right, "wrong": CellMeans(by_segment=False)}
    return World(context, expit(odds), mixed(1.5 * first, 0.2), policies, models)


def mixed(score_MA: Floats, uniform: float) -> Floats:
    """Return softmax probabilities, of which the share *uniform* is spread over all actions."""
    chance_MA: Floats = (1 - uniform) * softmax(score_MA, axis=1) + uniform / score_MA.shape[1]
    return chance_MA
