"""Worlds of slates whose value is known of every policy, and reward models that are learned from their logs.

Users are of one of ten segments. Slates are three items of eight, drawn one after another by softmax of those left
(Plackett and Luce). Clicks of a position depend on its item; in the ``cascade`` world also on whether the item above
is of the same topic, as users read from the top; in the ``whole`` one on the item below as well, so that only
estimators of whole slates are right there.

A reward model is a table of means: by segment, item and, but in the ``independent`` world, whether the item above is of
the same topic. That is right in the first two worlds. The ``wrong`` one leaves the segment out.

Legend: S segments, L slates, K positions, N rows of a log, F folds, C cells of a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from orita.delivery.ope import LoggedSlates

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
SEGMENTS, ITEMS, POSITIONS = 10, 8, 3
POLICIES = ("near", "middle", "far")
SHARED_ROWS = 2  # of the mean of a position, in each cell of a table

KINDS: dict[str, frozenset[str]] = {
    "independent": frozenset(
        {"slate_ips", "reward_interaction_ips", "independent_ips", "cascade_dr", "blended_cascade_dr"}
    ),
    "cascade": frozenset({"slate_ips", "reward_interaction_ips", "cascade_dr", "blended_cascade_dr"}),
    "whole": frozenset({"slate_ips"}),
}
"""Worlds, and the estimators that are right there; their self-normalised forms are too."""


@dataclass(frozen=True)
class SlateLog:
    """What was shown to whom, and clicked."""

    segment_N: Ints
    slate_N: Ints
    reward_NK: Floats


@dataclass(frozen=True)
class Learned:
    """Means by segment, slate and position, of each fold's others; which fold a row is in."""

    mean_FSLK: Floats
    fold_N: Ints


@dataclass(frozen=True, eq=False)
class SlateWorld:
    """A world of slates; conditional and marginal probabilities of policies by segment, slate and position."""

    chance_SLK: Floats
    conditional: dict[str, Floats]
    marginal: dict[str, Floats]
    prefix_LK: Ints
    cell_LK: Ints

    def value(self, policy: str) -> float:
        """Return what a policy earns a slate, segments being equally frequent."""
        return float((self.conditional[policy].prod(axis=2) * self.chance_SLK.sum(axis=2)).sum(axis=1).mean())

    def log(self, rows: int, random: np.random.Generator) -> SlateLog:
        """Return what the logged policy showed, and what was clicked."""
        logging_SL = self.conditional["logging"].prod(axis=2)
        segment_N = random.integers(len(logging_SL), size=rows)
        slate_N = (random.random((rows, 1)) > np.cumsum(logging_SL, axis=1)[segment_N]).sum(axis=1)
        slate_N = np.minimum(slate_N, logging_SL.shape[1] - 1)
        clicked_NK = random.random((rows, POSITIONS)) < self.chance_SLK[segment_N, slate_N]
        return SlateLog(segment_N, slate_N, clicked_NK.astype(np.float64))

    def learned(self, log: SlateLog, *, by_segment: bool, folds: int = 5, seed: int = 0) -> Learned:
        """Return a reward model of each fold of the log's rows, learned from the others."""
        cells = int(self.cell_LK.max()) + 1
        segment_S = np.arange(SEGMENTS) if by_segment else np.zeros(SEGMENTS, np.int64)
        code_SLK = segment_S[:, None, None] * cells + self.cell_LK
        fold_N = np.random.default_rng(seed).permutation(len(log.slate_N)) % folds
        mean_FSLK = np.empty((folds, *code_SLK.shape))
        for fold in range(folds):
            kept_N = fold_N != fold
            code_NK, reward_NK = code_SLK[log.segment_N[kept_N], log.slate_N[kept_N]], log.reward_NK[kept_N]
            for k in range(POSITIONS):
                count_C = np.bincount(code_NK[:, k], minlength=SEGMENTS * cells)
                sum_C = np.bincount(code_NK[:, k], reward_NK[:, k], minlength=SEGMENTS * cells)
                mean_C = (sum_C + SHARED_ROWS * reward_NK[:, k].mean()) / (count_C + SHARED_ROWS)
                mean_FSLK[fold, :, :, k] = mean_C[code_SLK[:, :, k]]
        return Learned(mean_FSLK, fold_N)

    def seen_from(self, policy: str, log: SlateLog, model: Learned) -> LoggedSlates:
        """Return the log as it is to be evaluated."""
        at = (log.segment_N, log.slate_N)
        predicted, expected = self.expected_below(policy, model.mean_FSLK)
        return LoggedSlates.of(
            log.reward_NK,
            self.conditional["logging"][at],
            self.conditional[policy][at],
            position_propensity_NK=self.marginal["logging"][at],
            position_target_NK=self.marginal[policy][at],
            predicted_NK=predicted[model.fold_N, *at],
            expected_NK=expected[model.fold_N, *at],
        )

    def expected_below(self, policy: str, mean_FSLK: Floats) -> tuple[Floats, Floats]:
        """Return rewards from each position on: given the items down to it, and down to the one above it."""
        below_FSLK = np.cumsum(mean_FSLK[..., ::-1], axis=-1)[..., ::-1]
        ahead_SLK = np.cumprod(self.conditional[policy][:, :, ::-1], axis=2)[:, :, ::-1]
        after_SLK = np.concatenate([ahead_SLK[:, :, 1:], np.ones_like(ahead_SLK[:, :, :1])], axis=2)
        above_LK = np.concatenate([np.zeros_like(self.prefix_LK[:, :1]), self.prefix_LK[:, :-1]], axis=1)
        return summed(below_FSLK * after_SLK, self.prefix_LK), summed(below_FSLK * ahead_SLK, above_LK)


@cache
def slate_world(kind: str, seed: int = 0) -> SlateWorld:
    """Return the world of that kind."""
    random = np.random.default_rng(seed)
    slates_LK = np.array(list(permutations(range(ITEMS), POSITIONS)))
    taste_SA = random.normal(size=(SEGMENTS, ITEMS))
    chance_SLK = expit(taste_SA - 0.5)[:, slates_LK] * np.array([0.9, 0.6, 0.4])
    same_LK = np.zeros(slates_LK.shape, bool)
    same_LK[:, 1:] = slates_LK[:, 1:] // 4 == slates_LK[:, :-1] // 4
    if kind != "independent":
        chance_SLK = np.where(same_LK, 0.4, 1.3) * chance_SLK / 1.3
    if kind == "whole":
        below_LK = np.concatenate([same_LK[:, 1:], np.zeros_like(same_LK[:, :1])], axis=1)
        chance_SLK = np.where(below_LK, 0.4, 1.0) * chance_SLK
    first, second, third = (taste_SA / 2 + random.normal(size=taste_SA.shape) / 2 for _ in range(3))
    scores = {"logging": 0.8 * first, "near": 1.2 * first, "middle": 0.8 * second, "far": 2.0 * third}
    conditional = {name: drawn(score_SA, slates_LK) for name, score_SA in scores.items()}
    marginal = {name: marginals(each, slates_LK) for name, each in conditional.items()}
    prefix_LK = np.cumsum((slates_LK + 1) * ITEMS ** np.arange(POSITIONS) * ITEMS, axis=1)
    cell_LK = slates_LK if kind == "independent" else 2 * slates_LK + same_LK
    return SlateWorld(chance_SLK, conditional, marginal, prefix_LK, cell_LK)


def drawn(score_SA: Floats, slates_LK: Ints) -> Floats:
    """Return probabilities of each position's item among the items that are left."""
    strength_SLK = np.exp(score_SA)[:, slates_LK]
    gone_SLK = np.cumsum(strength_SLK, axis=2) - strength_SLK
    chance_SLK: Floats = strength_SLK / (np.exp(score_SA).sum(axis=1)[:, None, None] - gone_SLK)
    return chance_SLK


def marginals(conditional_SLK: Floats, slates_LK: Ints) -> Floats:
    """Return probabilities of each position's item whatever is above it."""
    return summed(np.repeat(conditional_SLK.prod(axis=2)[:, :, None], POSITIONS, axis=2), slates_LK)


def summed(values: Floats, key_LK: Ints) -> Floats:
    """Return, by position, the sum of ``values_…LK`` over slates that share a key."""
    sums = np.empty_like(values)
    for k in range(values.shape[-1]):
        code_L = np.unique(key_LK[:, k], return_inverse=True)[1]
        one_LC = np.eye(int(code_L.max()) + 1)[code_L]
        sums[..., k] = (values[..., k] @ one_LC) @ one_LC.T
    return sums
