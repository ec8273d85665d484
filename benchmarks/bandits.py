"""How much do bandits lose until they have learnt, beside the same policies of MABWiser, and what do their calls cost?

Regret is the sum, over the decisions of a run, of the expected reward of the best arm less that of the pick. Ten arms:
Bernoulli with means 0.05, 0.10 … 0.50 (ε-greedy, UCB1, Thompson), and linear in 20 features with coefficients drawn
anew for each run (LinUCB and linear Thompson, disjoint). Both sides get the same rewards and contexts, begin with every
arm once, and learn after each batch of ten decisions (``--batch 1``: after each; MABWiser then takes hours). The ratio
is that of the mean regrets, ours ÷ theirs, with its standard error over the runs; ``ratio_regret`` is the largest of
the five. In MABWiser's linear Thompson sampling all arms draw the same numbers; it is measured with draws of their own,
as the policy is defined, and ``ratio_regret_as_shipped`` is beside what MABWiser does.

Times are the least of seven rounds of 100 calls after 500 updates: a pick (no update in between, no propensity), an
update, a pick right after an update, and what slates of 1 and of 5 arms with their propensities cost.

    python -m venv peer && peer/bin/pip install -r benchmarks/peers/requirements/mabwiser.txt
    python -m benchmarks.bandits --peers peer/bin/python      # without it no ratios. Last line: one JSON object
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.peers import bandits as peer

from orita.delivery.bandits import UCB1, Bandit, BernoulliThompson, EpsilonGreedy, LinearThompson, LinUCB, Policy

DECLARED: dict[str, Policy] = {
    "epsilon_greedy": EpsilonGreedy(peer.EPSILON),
    "ucb1": UCB1(peer.UCB_ALPHA),
    "thompson": BernoulliThompson(),
    "lin_ucb": LinUCB(peer.FEATURES, alpha=peer.LIN_UCB_ALPHA),
    "lin_thompson": LinearThompson(peer.FEATURES, scale=peer.LIN_THOMPSON_SCALE),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", help="a Python with what requirements/mabwiser.txt of the peers names")
    parser.add_argument("--seeds", type=int, default=500, help="runs of each policy")
    parser.add_argument("--decisions", type=int, default=1000, help="of each run")
    parser.add_argument("--batch", type=int, default=10, help="decisions until their feedback comes")
    options = parser.parse_args()
    sizes = options.decisions, options.batch
    print(
        f"{options.seeds} runs of {sizes[0]} decisions in batches of {sizes[1]}; {peer.ARMS} arms; "
        f"Bernoulli means {peer.MEANS};"
    )
    print(f"linear: {peer.FEATURES} features, noise {peer.NOISE}, coefficients anew for each run")
    figures: dict[str, Any] = {}
    for name in peer.POLICIES:
        lost = [peer.regret(name, seed, *sizes, *calls(name, seed)) for seed in range(options.seeds)]
        pick_us, update_us = peer.microseconds(name, *calls(name, 0))
        figures |= {f"{name}_pick_us": round(pick_us, 1), f"{name}_update_us": round(update_us, 1)}
        figures |= {f"{name}_{what}_us": round(us, 1) for what, us in dearer(name).items()}
        mean, error = float(np.mean(lost)), float(np.std(lost, ddof=1) / len(lost) ** 0.5)
        figures |= {f"{name}_regret": round(mean, 2), f"{name}_regret_error": round(error, 2)}
        print(f"{name:15} regret {mean:7.2f} ± {error:.2f}; pick {pick_us:6.1f} µs, update {update_us:6.1f} µs", end="")
        if options.peers:
            theirs = asked(options.peers, name, options.seeds, *sizes)
            ratio, ratio_error = ratio_of_means(lost, theirs["regret"])
            their_pick_us, their_update_us = theirs["us"]
            figures |= {f"{name}_ratio": round(ratio, 4), f"{name}_ratio_error": round(ratio_error, 4)}
            figures |= {f"{name}_peer_pick_us": round(their_pick_us, 1)}
            figures |= {f"{name}_peer_update_us": round(their_update_us, 1)}
            print(f"; MABWiser {np.mean(theirs['regret']):7.2f}, {their_pick_us:.0f} and {their_update_us:.0f} µs;")
            print(f"{'':15} ratio {ratio:.3f} ± {ratio_error:.3f}", end="")
            if name == "lin_thompson":
                shipped = asked(options.peers, peer.AS_SHIPPED, options.seeds, *sizes)
                ratio, ratio_error = ratio_of_means(lost, shipped["regret"])
                figures |= {"ratio_regret_as_shipped": round(ratio, 4), "error_as_shipped": round(ratio_error, 4)}
                print(f"; {ratio:.3f} ± {ratio_error:.3f} where all of MABWiser's arms draw the same", end="")
        print(flush=True)
    if options.peers:
        figures["ratio_regret"] = max(figures[f"{name}_ratio"] for name in peer.POLICIES)
    figures["pick_us"] = figures["thompson_pick_us"]
    print(json.dumps(figures))


def asked(python: str, policy: str, seeds: int, decisions: int, batch: int) -> dict[str, Any]:
    """Return what a policy of MABWiser lost and what its calls cost."""
    script = Path(__file__).parent / "peers" / "bandits.py"
    request = json.dumps({"policy": policy, "seeds": seeds, "decisions": decisions, "batch": batch})
    done = subprocess.run([python, str(script)], input=request, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def calls(name: str, seed: int) -> tuple[peer.Pick, peer.Update]:
    """Return the two calls of a policy of ours."""
    bandit, rng = Bandit(DECLARED[name], range(peer.ARMS)), np.random.default_rng([seed, 2])

    def pick(count: int, contexts: peer.FloatArray | None) -> list[int]:
        return [int(bandit.pick(rng, None if contexts is None else contexts[row])) for row in range(count)]

    def update(arms: list[int], rewards: peer.FloatArray, contexts: peer.FloatArray | None) -> None:
        if len(arms) == 1:
            bandit.update(arms[0], rewards[0], None if contexts is None else contexts[0])
        else:
            bandit.update_many(arms, rewards, contexts)

    return pick, update


def ratio_of_means(ours: list[float], theirs: list[float]) -> tuple[float, float]:
    """Return mean ÷ mean of runs that had the same luck, and its standard error by the delta method."""
    ours_R, theirs_R = np.array(ours), np.array(theirs)
    ratio = float(ours_R.mean() / theirs_R.mean())
    residuals_R = (ours_R - ratio * theirs_R) / theirs_R.mean()
    return ratio, float(residuals_R.std(ddof=1) / len(residuals_R) ** 0.5)


def dearer(name: str) -> dict[str, float]:
    """Return µs of a pick right after an update less that update, and of slates of 1 and 5 with their propensities."""
    bandit, rng = Bandit(DECLARED[name], range(peer.ARMS)), np.random.default_rng([0, 3])
    _, rewards_TA, contexts_TD = peer.luck(name, 0, 500)
    contexts = [None] * 500 if contexts_TD is None else list(contexts_TD)
    turn = 0

    def learn() -> None:
        nonlocal turn
        turn += 1
        bandit.update(turn % peer.ARMS, float(rewards_TA[turn % 500, turn % peer.ARMS]), contexts[turn % 500])

    def learn_and_pick() -> None:
        learn()
        bandit.pick(rng, contexts[turn % 500])

    for _ in range(500):
        learn()
    return {
        "pick_after_update": least_us(learn_and_pick, 300) - least_us(learn, 300),
        "slate_1": least_us(lambda: bandit.slate(1, rng, contexts[0]), 30),
        "slate_5": least_us(lambda: bandit.slate(5, rng, contexts[0]), 30),
    }


def least_us(call: Callable[[], object], count: int) -> float:
    """Return µs of a call: the least of seven rounds."""
    rounds = []
    for _ in range(7):
        started = time.perf_counter()
        for _ in range(count):
            call()
        rounds.append((time.perf_counter() - started) / count * 1e6)
    return min(rounds)


if __name__ == "__main__":
    main()
