"""Is a worse version taken back early, a better one let through, and an equal one left in peace?

Simulated canaries with the default steps (1, 5, 25, 50, 100 %) and checks, alpha 0.01, CTR 10 %, ten items an answer,
at most 2 million impressions each; the analysis is the controller's, with all its checks. Clicks come late, 60 seconds
on average, and the controller's own code joins them: an answer counts for the metric when the 1,800 seconds for its
outcomes are over, whenever they came. So a step uses what is shown in that time besides what its test needs: 181,000
impressions at 10 answers a second (`--per-second`).

    bad_rolled_back     5 % worse (relative): rolled back while it had 25 % of traffic at most
    good_promoted       5 % better: reached 100 %
    equal_rolled_back   neither: rolled back at some time
    broken_rollback_s   real time: a controller as a process, 300 answers a second written through the real prediction
                        log, 1 % of users; the longest of: every answer fails, every answer takes 50 ms more, some
                        drills of each

Printed beside them, not judged: how many impressions the best fixed test would need; rollouts with all checks on (three
quantiles of latency, scores and features that roll back, a rate of complaints and mean revenue, which is 0 for 97 % of
users), of an equal version and of one that sells half; and rollouts of an equal version
among 60,000 users who return, with tastes of their own, of whom 0.2 % always fail. There the metric taken by rows, as
if they were independent, is told next to what the analysis did.

    python -m benchmarks.canary                                 # last line: one JSON object
    python -m benchmarks.canary --runs 20 --seed 1000 --no-beside --drills 0
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing import get_context

from benchmarks.canary_drill import FAILING, SLOW, Broken, drill
from benchmarks.canary_world import Ended, Population, Scenario, simulate
from scipy.stats import norm

from orita.delivery.rollouts import CANARY_STEPS

BROKEN = (("failing", FAILING), ("50 ms slower", SLOW))


def main() -> None:
    """Simulate, drill and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--per-second", type=int, default=10, help="answers, of ten items each")
    parser.add_argument("--delay", type=float, default=60.0, help="seconds from an answer to a click, on average")
    parser.add_argument("--window", type=float, default=1800.0, help="seconds for outcomes, of the plan")
    parser.add_argument("--no-beside", dest="beside", action="store_false", help="only what is judged")
    parser.add_argument("--drills", type=int, default=3, help="of each broken version, 0: none; the longest counts")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    runs = options.runs
    ending = partial(ran, runs=runs, seed=options.seed, processes=options.processes)

    plain = Scenario(
        lift=0.0, per_second=options.per_second, delay_seconds=options.delay, window_seconds=options.window
    )
    bound(plain)
    bad = told("5 % worse", ending(replace(plain, lift=-0.05)))
    good = told("5 % better", ending(replace(plain, lift=0.05)))
    equal = told("equal", ending(plain))
    if options.beside:
        everything = replace(plain, everything=True)
        told("equal, all checks", ending(everything))
        told("half the revenue, all checks", ending(replace(everything, spending=0.5)))
        returning = replace(plain, population=Population(), per_second=3 * plain.per_second, impressions=6_000_000)
        clustered = told("equal, users return", ending(returning))
        by_rows = sum(each.by_rows for each in clustered)
        print(f"  rolled back if rows were taken for independent: {shown(by_rows, runs)}")
    figures = {
        "bad_rolled_back": share_of(each.state == "rolled_back" and each.share <= 25 for each in bad),
        "good_promoted": share_of(each.state == "promoted" for each in good),
        "equal_rolled_back": share_of(each.state == "rolled_back" for each in equal),
    }
    if options.drills:
        figures["broken_rollback_s"] = round(max(drilled(*each, options.drills) for each in BROKEN), 1)
    print(json.dumps(figures))


def bound(scenario: Scenario) -> None:
    """Print what a test that looks once would need, at the share of each step, for a power of 95 %."""
    level, effect = scenario.alpha / 2, 0.05 * scenario.ctr
    reach = norm.isf(level) + norm.isf(0.05)
    variance = scenario.ctr * (1 - scenario.ctr)
    for step in CANARY_STEPS[:-1]:
        share = step.share / 100
        needed = (reach / effect) ** 2 * variance / (share * (1 - share))
        print(f"one look at {step.share:g} %: {needed:,.0f} impressions find 5 % less with 95 %, at level {level:g}")


def drilled(what: str, broken: Broken, drills: int) -> float:
    """Return the longest that a broken version stayed in some drills, in seconds; print each."""
    seconds = [drill(broken, seed=number) for number in range(drills)]
    print(f"{what}: rolled back {', '.join(f'{took:.1f}' for took in seconds)} s after the rollout began")
    return max(seconds)


def ran(scenario: Scenario, *, runs: int, seed: int, processes: int) -> list[Ended]:
    """Return how *runs* rollouts end, some at a time."""
    with get_context("spawn").Pool(processes) as pool:
        return pool.map(partial(simulate, scenario), [seed * 1_000_003 + run for run in range(runs)], chunksize=1)


def told(what: str, ended: Sequence[Ended]) -> Sequence[Ended]:
    """Print how rollouts ended, with the Monte Carlo error, and return them."""
    runs = len(ended)
    print(f"{what}, {runs} runs")
    states = Counter((each.state, each.share, "+".join(each.checks)) for each in ended)
    for (state, share, checks), count in sorted(states.items()):
        same = [each for each in ended if (each.state, each.share) == (state, share)]
        middle = sorted(same, key=lambda each: each.impressions)[len(same) // 2]
        why, took = f" for {checks}" if checks else "", f"{middle.impressions:,} impressions, {middle.hours:.1f} h"
        print(f"  {state} at {share:g} %{why}: {shown(count, runs)}, median {took}")
    return ended


def shown(count: int, runs: int) -> str:
    """Return a count as a share with its Monte Carlo error."""
    rate = count / runs
    return f"{rate:.3f} ± {math.sqrt(rate * (1 - rate) / runs):.3f}"


def share_of(hits: Iterable[bool]) -> float:
    """Return the share of what is true."""
    values = list(hits)
    return round(sum(values) / len(values), 4)


if __name__ == "__main__":
    main()
