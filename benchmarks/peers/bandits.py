"""Bandits of MABWiser on the same luck, and the luck itself; needs NumPy, and to run as a program MABWiser, as in
``requirements/mabwiser.txt``.

Legend: A arms, D features, T decisions, R runs.

As a program it reads ``{"policy", "seeds", "decisions", "batch"}`` from standard input, and prints what the policy lost
and cost as JSON.
MABWiser must be fitted before it picks, so each policy begins with every arm once, in order; that regret counts.

MABWiser 2.7 copies its generator with each arm's model, so in LinTS all arms draw the same numbers, which explores less
than Thompson sampling does. ``lin_thompson`` gives each arm a generator of its own after the first fit;
``lin_thompson_as_shipped`` leaves it as it is.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

MEANS = tuple(round(0.05 * arm, 2) for arm in range(1, 11))
ARMS, FEATURES, NOISE = len(MEANS), 20, 0.5
EPSILON, UCB_ALPHA, LIN_UCB_ALPHA, LIN_THOMPSON_SCALE = 0.1, 1.0, 1.0, 0.5
POLICIES = ("epsilon_greedy", "ucb1", "thompson", "lin_ucb", "lin_thompson")
AS_SHIPPED = "lin_thompson_as_shipped"
Pick = Callable[[int, FloatArray | None], list[int]]  # of so many contexts
Update = Callable[[list[int], FloatArray, FloatArray | None], Any]


def luck(name: str, seed: int, decisions: int) -> tuple[FloatArray, FloatArray, FloatArray | None]:
    """Return expected rewards [T, A], rewards [T, A], and contexts [T, D] where the policy has them.

    Contexts are standard normal ÷ √D, coefficients of each arm standard normal, noise normal with deviation 0.5.
    """
    rng = np.random.default_rng([seed, name.startswith("lin")])
    if not name.startswith("lin"):
        expected_TA = np.broadcast_to(MEANS, (decisions, ARMS))
        return expected_TA, (rng.random((decisions, ARMS)) < expected_TA).astype(np.float64), None
    contexts_TD = rng.standard_normal((decisions, FEATURES)) / np.sqrt(FEATURES)
    expected_TA = contexts_TD @ rng.standard_normal((FEATURES, ARMS))
    return expected_TA, expected_TA + NOISE * rng.standard_normal((decisions, ARMS)), contexts_TD


def regret(name: str, seed: int, decisions: int, batch: int, pick: Pick, update: Update) -> float:
    """Return the regret of one run that learns after each batch of decisions."""
    expected_TA, rewards_TA, contexts_TD = luck(name, seed, decisions)
    arms = list(range(ARMS))
    update(arms, rewards_TA[arms, arms], None if contexts_TD is None else contexts_TD[:ARMS])
    picked = list(arms)
    while len(picked) < decisions:
        rows = slice(len(picked), min(len(picked) + batch, decisions))
        contexts = None if contexts_TD is None else contexts_TD[rows]
        arms = pick(rows.stop - rows.start, contexts)
        update(arms, rewards_TA[np.arange(rows.start, rows.stop), arms], contexts)
        picked += arms
    return float((expected_TA.max(axis=1) - expected_TA[np.arange(decisions), picked]).sum())


def microseconds(name: str, pick: Pick, update: Update, count: int = 100, rounds: int = 7) -> tuple[float, float]:
    """Return µs of a pick without an update in between, and of one update; after 500 updates, the least round."""
    _, rewards_TA, contexts_TD = luck(name, 0, 500)
    contexts = [None if contexts_TD is None else contexts_TD[row : row + 1] for row in range(500)]
    arms_T, rewards_T = np.arange(500) % ARMS, rewards_TA[np.arange(500), np.arange(500) % ARMS]
    update(arms_T.tolist(), rewards_T, contexts_TD)
    picks, updates = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        for row in range(count):
            pick(1, contexts[row])
        between = time.perf_counter()
        for row in range(count):
            update([row % ARMS], rewards_T[row : row + 1], contexts[row])
        picks.append((between - started) / count * 1e6)
        updates.append((time.perf_counter() - between) / count * 1e6)
    return min(picks), min(updates)


def mabwiser(name: str, seed: int) -> tuple[Pick, Update]:
    """Return the two calls of a policy of MABWiser."""
    from mabwiser.mab import MAB, LearningPolicy  # type: ignore[import-not-found]
    from mabwiser.utils import create_rng  # type: ignore[import-not-found]

    policy = {
        "epsilon_greedy": LearningPolicy.EpsilonGreedy(EPSILON),
        "ucb1": LearningPolicy.UCB1(UCB_ALPHA),
        "thompson": LearningPolicy.ThompsonSampling(),
        "lin_ucb": LearningPolicy.LinUCB(LIN_UCB_ALPHA),
        "lin_thompson": LearningPolicy.LinTS(LIN_THOMPSON_SCALE),
        AS_SHIPPED: LearningPolicy.LinTS(LIN_THOMPSON_SCALE),
    }[name]
    bandit = MAB(list(range(ARMS)), policy, seed=seed)
    learn = bandit.fit

    def pick(count: int, contexts: FloatArray | None) -> list[int]:
        # Policies without features take contexts for the number of answers alone, and give one answer bare.
        picked = bandit.predict(np.zeros((count, 1)) if contexts is None else contexts)
        return picked if count > 1 else [picked]

    def update(arms: list[int], rewards: FloatArray, contexts: FloatArray | None) -> None:
        nonlocal learn
        learn(arms, rewards, contexts)
        if learn == bandit.fit and name == "lin_thompson":
            for arm, model in bandit._imp.arm_to_model.items():
                model.rng = create_rng(seed * ARMS + arm)
        learn = bandit.partial_fit

    return pick, update


def main() -> None:
    """Answer one request."""
    asked = json.load(sys.stdin)
    name, sizes = asked["policy"], (asked["decisions"], asked["batch"])
    lost = [regret(name, seed, *sizes, *mabwiser(name, seed)) for seed in range(asked["seeds"])]
    json.dump({"regret": lost, "us": microseconds(name, *mabwiser(name, 0))}, sys.stdout)


if __name__ == "__main__":
    main()
