"""Worlds of which the value of every policy is known: a table of contexts, actions or slates, and chances of a click.

Contexts are drawn from the table with replacement, so a policy's value is a finite sum, not an estimate. In the world
of ``segments`` clicks depend on one of 20 user segments and the action, in any way; in the ``linear`` one their log
odds are linear in five numbers of the context. Slates are three items of eight, drawn one after another by softmax of
those left (Plackett and Luce); clicks of a position depend on its item, and in the ``cascade`` world also on
whether the item above is of the same topic.

Legend: M contexts of the table, F context features, A actions, S segments, L slates, K positions, N rows of a log.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from orita.delivery.ope import LinearRewards, LoggedSlates, RewardModel
from orita.delivery.ope.reward_models import Actions, Predictor

Floats = npt.NDArray[np.float64]
SEGMENTS, ACTIONS, CONTEXTS = 20, 10, 5000
SLATE_SEGMENTS, ITEMS, POSITIONS = 10, 8, 3


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


@dataclass(frozen=True, eq=False)
class SlateWorld:
    """A world of slates; conditional and marginal probabilities of policies by segment, slate and position."""

    chance_SLK: Floats
    conditional: dict[str, Floats]
    marginal: dict[str, Floats]
    prefix_LK: npt.NDArray[np.int64]

    def value(self, policy: str) -> float:
        """Return what a policy earns a slate, segments being equally frequent."""
        return float((self.conditional[policy].prod(axis=2) * self.chance_SLK.sum(axis=2)).sum(axis=1).mean())

    @cache  # noqa: B019, a world lives as long as the process
    def predictions(self, policy: str, model: str) -> tuple[Floats, Floats]:
        """Return what a model that is nearly right, or one that knows a mean alone, expects; learned elsewhere."""
        noise = np.random.default_rng(1).uniform(0.8, 1.2, self.chance_SLK.shape)
        guess = self.chance_SLK * noise if model == "right" else np.full_like(self.chance_SLK, 0.3)
        return self.expected_below(policy, guess)

    def expected_below(self, policy: str, chance_SLK: Floats) -> tuple[Floats, Floats]:
        """Return rewards from each position on: given the items down to it, and down to the one above it."""
        below_SLK = np.cumsum(chance_SLK[:, :, ::-1], axis=2)[:, :, ::-1]
        ahead_SLK = np.cumprod(self.conditional[policy][:, :, ::-1], axis=2)[:, :, ::-1]
        after_SLK = np.concatenate([ahead_SLK[:, :, 1:], np.ones_like(ahead_SLK[:, :, :1])], axis=2)
        above_LK = np.concatenate([np.zeros_like(self.prefix_LK[:, :1]), self.prefix_LK[:, :-1]], axis=1)
        return (
            summed(below_SLK * after_SLK, self.prefix_LK),
            summed(below_SLK * ahead_SLK, above_LK),
        )

    def log(self, policy: str, model: str, rows: int, random: np.random.Generator) -> LoggedSlates:
        """Return a log, with predictions of a model that is nearly right or wrong."""
        logging = self.conditional["logging"].prod(axis=2)
        segment = random.integers(len(logging), size=rows)
        slate = (random.random((rows, 1)) > np.cumsum(logging, axis=1)[segment]).sum(axis=1)
        slate = np.minimum(slate, logging.shape[1] - 1)
        at = (segment, slate)
        predicted, expected = self.predictions(policy, model)
        return LoggedSlates.of(
            (random.random((rows, POSITIONS)) < self.chance_SLK[at]).astype(np.float64),
            self.conditional["logging"][at],
            self.conditional[policy][at],
            position_propensity_NK=self.marginal["logging"][at],
            position_target_NK=self.marginal[policy][at],
            predicted_NK=predicted[at],
            expected_NK=expected[at],
        )


@cache
def slate_world(kind: str, seed: int = 0) -> SlateWorld:
    """Return the ``independent`` world of slates, or the ``cascade`` one."""
    random = np.random.default_rng(seed)
    slates = np.array(list(permutations(range(ITEMS), POSITIONS)))
    taste_SA = random.normal(size=(SLATE_SEGMENTS, ITEMS))
    chance_SLK = expit(taste_SA - 0.5)[:, slates] * np.array([0.9, 0.6, 0.4])
    if kind == "cascade":
        same_LK = np.zeros(slates.shape, bool)
        same_LK[:, 1:] = slates[:, 1:] // 4 == slates[:, :-1] // 4
        chance_SLK = np.where(same_LK, 0.4, 1.3) * chance_SLK / 1.3
    first, second, third = (taste_SA / 2 + random.normal(size=taste_SA.shape) / 2 for _ in range(3))
    scores = {"logging": 0.8 * first, "near": 1.2 * first, "middle": 0.8 * second, "far": 2.0 * third}
    conditional = {name: drawn(score_SA, slates) for name, score_SA in scores.items()}
    marginal = {name: marginals(each, slates) for name, each in conditional.items()}
    powers = ITEMS ** np.arange(POSITIONS)
    prefix_LK = np.cumsum((slates + 1) * powers * ITEMS, axis=1)
    return SlateWorld(chance_SLK, conditional, marginal, prefix_LK)


def drawn(score_SA: Floats, slates_LK: npt.NDArray[np.int64]) -> Floats:
    """Return probabilities of each position's item among the items that are left."""
    strength_SLK = np.exp(score_SA)[:, slates_LK]
    gone_SLK = np.cumsum(strength_SLK, axis=2) - strength_SLK
    chance_SLK: Floats = strength_SLK / (np.exp(score_SA).sum(axis=1)[:, None, None] - gone_SLK)
    return chance_SLK


def marginals(conditional_SLK: Floats, slates_LK: npt.NDArray[np.int64]) -> Floats:
    """Return probabilities of each position's item whatever is above it."""
    return summed(np.repeat(conditional_SLK.prod(axis=2)[:, :, None], POSITIONS, axis=2), slates_LK)


def summed(values_SLK: Floats, key_LK: npt.NDArray[np.int64]) -> Floats:
    """Return, by position, the sum of values over slates that share a key."""
    sums_SLK = np.empty_like(values_SLK)
    for k in range(values_SLK.shape[2]):
        code_L = np.unique(key_LK[:, k], return_inverse=True)[1]
        one_LC = np.eye(int(code_L.max()) + 1)[code_L]
        sums_SLK[:, :, k] = (values_SLK[:, :, k] @ one_LC) @ one_LC.T
    return sums_SLK
