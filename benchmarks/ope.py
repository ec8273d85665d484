"""Do intervals of off-policy evaluation hold the truth, and how far off is each estimator? Worlds of known value.

``make bench B=ope``; the last line is one JSON object. Logs of two worlds of single decisions (`benchmarks.ope_worlds`)
and three of slates (`benchmarks.ope_slate_worlds`) are drawn anew in every run, reward models are learned from each log
with cross-fitting, and three target policies, from near to far, are evaluated with a reward model that can be right and
one that leaves the context out. ``coverage`` and ``slate_coverage`` are the least and the greatest share, over those
scenarios, of runs in which the 95 % interval held the policy's value, for estimators whose interval claims to, where
their assumption holds; ``outside`` names the scenarios beyond 93 … 97 %.

``ratio_error_dr`` is the root mean squared error of DR over the lesser of those of IPS and DM, in the worst scenario of
all; ``…_by_world`` tells it of each world: ``segments``, where the right model is a table, and ``linear``, whose very
formula the right model knows. Extrapolating by a formula that holds beats anything that would notice if it did not, so
DR cannot reach DM there where the policy is far. The same is told of ``switch_dr`` and ``blended_dr``.

``ratio_error_slate_dr`` is that of cascade-DR over the least of IPS of whole slates, reward-interaction IPS and the
direct method, in the worst scenario where users read from the top. The right model is a table there which knows that a
reward depends on no more than two items, and the weights of the far policy do not. ``ratio_error_blended_slate_dr`` is
that of blended cascade-DR. In the ``whole`` world, where only estimators of whole slates are right, all this is told by
world and not judged. Clipping at √N takes nothing in these worlds, so ``clipped_ips`` is IPS in them.

With ``--open-bandit FOLDER`` all estimators also stand beside what happened on the Open Bandit Dataset (men): random →
BTS and back (`benchmarks.ope_bandit`, which is a command of its own too). That is told and not judged: 46 and 69 clicks
are few.

    python -m benchmarks.ope [--runs 1000] [--rows 3000] [--first 0] [--processes 1] [--open-bandit FOLDER]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from benchmarks.ope_bandit import open_bandit
from benchmarks.ope_slate_worlds import KINDS, POLICIES, slate_world
from benchmarks.ope_worlds import Floats, decision_world

from orita.delivery.ope import (
    ESTIMATORS,
    SLATE_ESTIMATORS,
    Estimate,
    LoggedDecisions,
    action_calibration,
    cross_fitted,
    diagnose,
)
from orita.delivery.ope.reward_models import Actions

SINGLE, SLATES = ("ips", "dm"), ("slate_ips", "reward_interaction_ips", "cascade_dm")
RATIOS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "ratio_error_dr": ("dr", ("segments", "linear"), SINGLE),
    "ratio_error_switch_dr": ("switch_dr", ("segments", "linear"), SINGLE),
    "ratio_error_blended_dr": ("blended_dr", ("segments", "linear"), SINGLE),
    "ratio_error_slate_dr": ("cascade_dr", tuple(KINDS), SLATES),
    "ratio_error_blended_slate_dr": ("blended_cascade_dr", tuple(KINDS), SLATES),
}
"""What is told: of which estimator, in which worlds, beside whose errors."""
NOT_JUDGED = "whole"

Found = dict[str, tuple[float, bool, bool, float]]
"""By scenario and estimator: error, whether the interval held the value, whether it claims to, its width."""


def main() -> None:
    """Run, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first run")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--open-bandit", type=Path)
    options = parser.parse_args()
    began = time.perf_counter()
    noise = 100 * np.sqrt(0.95 * 0.05 / options.runs)
    print(f"{options.runs:,} runs of {options.rows:,} rows a world, seeds {options.first} …; a coverage of 95 % has a")
    print(
        f"standard error of {noise:.2f} points. Coverage, error (root mean square), bias, mean width of the interval:"
    )
    for world in ("segments", "linear"):
        tell_support(world, options.rows)
    work, seeds = partial(one_run, rows=options.rows), range(options.first, options.first + options.runs)
    if options.processes > 1:
        with get_context("spawn").Pool(options.processes) as pool:
            runs = pool.map(work, seeds, chunksize=20)
    else:
        runs = [work(run) for run in seeds]
    figures = judged(runs)
    if options.open_bandit is not None:
        figures["open_bandit"] = open_bandit(options.open_bandit)
    print(f"{time.perf_counter() - began:.0f} s")
    print(json.dumps(figures))


def tell_support(kind: str, rows: int) -> None:
    """Print how far the policies of a world are from the logged one."""
    world = decision_world(kind)
    random = np.random.default_rng(0)
    at = random.integers(len(world.chance_MA), size=rows)
    action = drawn_actions(world.logging_MA[at], random)
    for policy, target in world.policies.items():
        weights = (target / world.logging_MA)[at, action]
        told = diagnose(weights, logging_NA=world.logging_MA[at], target_NA=target[at])
        print(
            f"  {kind}, {policy}: value {world.value(policy):.4f}, weights worth "
            f"{told.effective_sample_size:,.0f} rows, largest {told.largest_weight:.1f}"
        )


def drawn_actions(chance_NA: Floats, random: np.random.Generator) -> Actions:
    """Return an action a row."""
    above_NA = random.random((len(chance_NA), 1)) > np.cumsum(chance_NA, axis=1)
    action_N: Actions = np.minimum(above_NA.sum(axis=1), chance_NA.shape[1] - 1)
    return action_N


def one_run(run: int, rows: int) -> Found:
    """Return what every estimator made of the logs of one run."""
    return dict([*decision_run(run, rows), *slate_run(run, rows)])


def decision_run(run: int, rows: int) -> Iterator[tuple[str, tuple[float, bool, bool, float]]]:
    """Yield the results on single decisions."""
    for number, kind in enumerate(("segments", "linear")):
        world, random = decision_world(kind), np.random.default_rng([run, number])
        at = random.integers(len(world.chance_MA), size=rows)
        action = drawn_actions(world.logging_MA[at], random)
        reward = (random.random(rows) < world.chance_MA[at, action]).astype(np.float64)
        calibrated = action_calibration(world.logging_MA[at], action).p_value >= 0.05
        yield f"{kind}|any|any|calibration test of 5 %", (0.0, calibrated, False, 0.0)
        for model, learner in world.models.items():
            predicted = cross_fitted(learner, world.context_MF[at], action, reward, seed=run)
            for policy, target in world.policies.items():
                logged = LoggedDecisions.of_matrices(
                    reward, action, world.logging_MA[at], target[at], predicted_NA=predicted
                )
                for name, estimator in ESTIMATORS.items():
                    if "ips" in name and model == "wrong":
                        continue
                    yield f"{kind}|{policy}|{model}|{name}", outcome(estimator(logged), world.value(policy))


def slate_run(run: int, rows: int) -> Iterator[tuple[str, tuple[float, bool, bool, float]]]:
    """Yield the results on slates."""
    for number, (kind, right) in enumerate(KINDS.items()):
        world, random = slate_world(kind), np.random.default_rng([run, number, 2])
        log = world.log(rows, random)
        for model in ("right", "wrong"):
            learned = world.learned(log, by_segment=model == "right", seed=run)
            for policy in POLICIES:
                logged = world.seen_from(policy, log, learned)
                for name, estimator in SLATE_ESTIMATORS.items():
                    if "ips" in name and model == "wrong":
                        continue
                    error, held, claims, width = outcome(estimator(logged), world.value(policy))
                    claims = claims and name.removeprefix("self_normalised_") in right
                    yield f"{kind}|{policy}|{model}|{name}", (error, held, claims, width)


def outcome(found: Estimate, value: float) -> tuple[float, bool, bool, float]:
    """Return error, whether the interval held, whether it claims to, and its width."""
    return found.value - value, found.low <= value <= found.high, found.covers, found.high - found.low


def judged(runs: list[Found]) -> dict[str, object]:
    """Print a line a scenario; return the figures."""
    coverage: dict[str, dict[str, list[float]]] = {"coverage": {}, "slate_coverage": {}}
    error: dict[tuple[str, str], float] = {}
    outside: dict[str, float] = {}
    for key in runs[0]:
        kind, policy, model, name = key.split("|")
        errors, held, claims, widths = np.array([run[key] for run in runs], np.float64).T
        share, rms = float(held.mean()), float(np.sqrt((errors**2).mean()))
        error[f"{kind}|{policy}|{model}", name] = rms
        claim = bool(claims.all())
        print(
            f"  {kind:11} {policy:6} {model:5} {name:38} {share:6.1%} {'' if claim else '(no claim) ':11} "
            f"error {rms:.4f} bias {errors.mean():+.4f} width {widths.mean():.4f}"
        )
        if claim:
            which = "slate_coverage" if kind in KINDS else "coverage"
            coverage[which].setdefault(name, []).append(round(share, 4))
            if not 0.93 <= share <= 0.97:
                outside[key] = round(share, 4)
    by_world = {
        told: {world: worst(error, world, estimator, rivals) for world in worlds}
        for told, (estimator, worlds, rivals) in RATIOS.items()
    }
    return {
        **{which: {name: [min(told), max(told)] for name, told in each.items()} for which, each in coverage.items()},
        "outside": outside,
        **{told: max(each[world] for world in each if world != NOT_JUDGED) for told, each in by_world.items()},
        **{f"{told}_by_world": each for told, each in by_world.items()},
        "runs": len(runs),
    }


def worst(error: dict[tuple[str, str], float], kind: str, estimator: str, rivals: tuple[str, ...]) -> float:
    """Print the estimator's error over the least of its rivals', by scenario; return the greatest.

    Rivals that need no model were measured once, with the right one.
    """
    ratios = {
        scenario: rms
        / min(error[scenario.replace("wrong", "right") if "ips" in rival else scenario, rival] for rival in rivals)
        for (scenario, name), rms in error.items()
        if name == estimator and scenario.startswith(kind)
    }
    told = ", ".join(f"{scenario} {ratio:.2f}" for scenario, ratio in ratios.items())
    print(f"  error of {estimator} over the least of {', '.join(rivals)}: {told}")
    return round(max(ratios.values()), 3)


if __name__ == "__main__":
    main()
