"""Do experiments err as rarely as they say when one looks at them every day, and do they still find what is there?

Simulated experiments (seeded): users come over time, half to each arm, return at a pace and with a taste of their own
(so rows of a user resemble each other), and clicks arrive late. A user's outcome is the number of clicks that arrived
within 7 days of the first exposure, counted once when those days are over (`orita.stats.experiments.closed_outcomes`).
The lift that is planned for sets the sample size n at which a fixed test has a power of 80 %; there are 100 looks up to
n and 70 more up to 1.7 n. Two-sided, α = 0.05.

    false_positive_rate   of 2,000 A/A experiments, rejected by the sequential test at any of the 170 looks
    fixed_z_rate          the same experiments and looks, stopped at the first look at which |z| > 1.96
    power_at_fixed_n      with the planned lift, rejected by the sequential test by n; power_at_1_7n: by 1.7 n
    cuped_ratio           variance of CUPED's estimate ÷ (1 − ρ²) · that of the plain one; 1 is right
    srm_found             51/49 of 100,000 users found by χ² at 0.001

Beside them are printed, not judged: a z-test and the sequential test on rows, as if they were independent, and the
sequential test on running totals of users who are still coming back, with standard errors by user.

    python -m benchmarks.aa [--experiments 2000] [--seed 0]      # last line: one JSON object
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.stats.experiments.closed_outcomes import closed_outcomes
from orita.stats.experiments.cuped import cuped
from orita.stats.experiments.means import compare_means
from orita.stats.experiments.power import TestPlan, sample_size
from orita.stats.sequential.confidence_sequences import LEAST_UNITS
from orita.stats.sequential.mixtures import Mixture
from orita.stats.sequential.sample_ratio import sample_ratio_log_e, sample_ratio_p

LEVEL, SRM_LEVEL = 0.05, 0.001
WINDOW, DAYS = 7.0, 20.0  # days until an outcome counts; days in which n users come
PLANNED_LOOKS, LOOKS = 100, 170
LIFT = 0.27
VISITS_A_DAY, CTR, DELAY = 0.5, 0.1, 1.0
CHUNK = 50

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Looks:
    """Cumulative sums at each look, [experiments, arms, looks]: counts, sums and sums of squares."""

    n: Floats
    total: Floats
    squares: Floats

    def difference(self) -> tuple[Floats, Floats]:
        """Return estimate and standard error, NaN where an arm has too few."""
        n = np.where(self.n >= LEAST_UNITS, self.n, np.nan)
        mean = self.total / n
        variance = (self.squares - n * mean**2) / (n - 1)
        return mean[:, 1] - mean[:, 0], np.sqrt((variance / n).sum(axis=1))


@dataclass(frozen=True)
class Simulated:
    """What is seen of some experiments at each look: closed outcomes, running totals a user, and rows."""

    closed: Looks
    running: Looks
    rows: Looks


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    count, random = options.experiments, np.random.default_rng(options.seed)

    effect, n = planned(np.random.default_rng([options.seed, 1]))
    mixture = Mixture.for_effect(effect)
    print(f"{count:,} experiments of each kind; a fixed test needs {n:,} users for {effect:.4f} clicks a user (+27 %)")
    null = joined([simulate(random, CHUNK, n, lift=0.0) for _ in range(math.ceil(count / CHUNK))], count)
    figures = {
        "false_positive_rate": told("A/A, sequential test, 170 looks", sequential(null.closed, mixture)[:, -1]),
        "fixed_z_rate": told("A/A, z-test on the same looks", fixed(null.closed)[:, -1]),
    }
    told("A/A, z-test on rows, 170 looks", fixed(null.rows)[:, -1])
    told("A/A, sequential test on rows", sequential(null.rows, Mixture.for_effect(LIFT * CTR))[:, -1])
    told("A/A, sequential test on running totals", sequential(null.running, mixture)[:, -1])
    lifted = joined([simulate(random, CHUNK, n, lift=LIFT) for _ in range(math.ceil(count / CHUNK))], count)
    found = sequential(lifted.closed, mixture)
    end = fixed(Looks(*(part[..., PLANNED_LOOKS - 1 :] for part in vars(lifted.closed).values())))
    told("planned lift, fixed test once at n", end[:, 0])
    figures["power_at_fixed_n"] = told("planned lift, sequential test by n", found[:, PLANNED_LOOKS - 1])
    figures["power_at_1_7n"] = told("planned lift, sequential test by 1.7 n", found[:, -1])
    figures["cuped_ratio"] = cuped_ratio(random, count)
    figures["srm_found"] = mismatches(random, count)
    print(json.dumps(figures))


def planned(random: np.random.Generator) -> tuple[float, int]:
    """Return the effect of the planned lift, and the fixed test's size, from a pilot of 200,000 users."""
    pilot = [simulate(random, 20, 10_000, lift=lift, pilot=True).closed for lift in (0.0, LIFT)]
    control, treatment = (
        (looks.total[:, 1, -1].sum() / looks.n[:, 1, -1].sum(), looks.squares[:, 1, -1].sum() / looks.n[:, 1, -1].sum())
        for looks in pilot
    )
    spreads = [math.sqrt(square - mean**2) for mean, square in (control, treatment)]
    effect = control[0] * LIFT
    return effect, sample_size(TestPlan(spreads[0], spreads[1], level=LEVEL), effect, 0.8)


def simulate(random: np.random.Generator, experiments: int, n: int, *, lift: float, pilot: bool = False) -> Simulated:
    """Return what is seen of *experiments* at each look: n users come by look 100, as many more as looks are more."""
    users = round(n * LOOKS / PLANNED_LOOKS)
    length = DAYS * LOOKS / PLANNED_LOOKS
    every = DAYS / PLANNED_LOOKS
    total = experiments * users
    exposed_U = random.random(total) * length
    arm_U = random.integers(0, 2, total) if not pilot else np.ones(total, np.int64)
    pace_U = random.gamma(1.5, VISITS_A_DAY / 1.5, total)
    taste_U = random.beta(1, 1 / CTR - 1, total) * np.where(arm_U == 1, 1 + lift, 1.0)
    # Looks are one window later than the users they count, so that as many outcomes have closed.
    stays_U: Floats = WINDOW + (np.zeros(total) if pilot else length - exposed_U)
    visits_U = random.poisson(pace_U * stays_U)
    user_N = np.repeat(np.arange(total), visits_U)
    time_N: Floats = exposed_U[user_N] + random.random(len(user_N)) * stays_U[user_N]
    click_N = random.random(len(user_N)) < taste_U[user_N]
    clicker_K = user_N[click_N]
    arrival_K = time_N[click_N] + random.exponential(DELAY, len(clicker_K))
    outcomes = closed_outcomes(
        np.arange(total), exposed_U, clicker_K, arrival_K, np.ones(len(clicker_K)), window=WINDOW, now=math.inf
    )
    values_U = np.empty(total)
    values_U[outcomes.index_U] = outcomes.values_U

    def at_looks(user_K: npt.NDArray[np.int64], time_K: Floats, weight_K: Floats | None = None) -> Floats:
        """Return cumulative sums of weights, [experiments, arms, looks]; look l is at every·(l + 1) + WINDOW."""
        look_K = np.maximum(np.ceil((time_K - WINDOW) / every).astype(np.int64) - 1, 0)
        seen_K = look_K < LOOKS
        place_K = ((user_K // users) * 2 + arm_U[user_K]) * LOOKS + look_K
        weights = None if weight_K is None else weight_K[seen_K]
        sums = np.bincount(place_K[seen_K], weights, minlength=experiments * 2 * LOOKS)
        return np.asarray(sums.reshape(experiments, 2, LOOKS).cumsum(axis=2), np.float64)

    everyone = np.arange(total)
    closes_U = exposed_U + WINDOW
    closed = Looks(
        at_looks(everyone, closes_U), at_looks(everyone, closes_U, values_U), at_looks(everyone, closes_U, values_U**2)
    )
    # A user's k-th click raises the square of the user's running total by 2·k − 1.
    order = np.lexsort((arrival_K, clicker_K))
    clicker_K, arrival_K = clicker_K[order], arrival_K[order]
    first_K = np.searchsorted(clicker_K, clicker_K)
    rise_K: Floats = (2 * (np.arange(len(clicker_K)) - first_K) + 1).astype(np.float64)
    clicks = at_looks(clicker_K, arrival_K)
    running = Looks(at_looks(everyone, exposed_U), clicks, at_looks(clicker_K, arrival_K, rise_K))
    return Simulated(closed, running, Looks(at_looks(user_N, time_N), clicks, clicks))


def joined(parts: list[Simulated], count: int) -> Simulated:
    """Return all experiments of *parts*, the first *count*."""

    def of(name: str) -> Looks:
        fields = ("n", "total", "squares")
        return Looks(*(np.concatenate([getattr(getattr(p, name), f) for p in parts])[:count] for f in fields))

    return Simulated(of("closed"), of("running"), of("rows"))


def sequential(looks: Looks, mixture: Mixture) -> npt.NDArray[np.bool_]:
    """Return whether the sequential test has rejected by each look, [experiments, looks]."""
    evidence = mixture.log_e(*looks.difference())
    return np.asarray(np.logical_or.accumulate(evidence >= -math.log(LEVEL), axis=1))


def fixed(looks: Looks) -> npt.NDArray[np.bool_]:
    """Return whether a z-test at 1.96 has been significant at a look so far, [experiments, looks]."""
    estimate, error = looks.difference()
    with np.errstate(invalid="ignore"):
        return np.asarray(np.logical_or.accumulate(np.abs(estimate) > 1.959964 * error, axis=1))


def told(what: str, rejected: Any) -> float:
    """Print how often experiments were rejected, with the Monte Carlo error, and return it."""
    rate = float(rejected.mean())
    print(f"{what:42} {rate:.4f} ± {math.sqrt(rate * (1 - rate) / len(rejected)):.4f}", flush=True)
    return round(rate, 4)


def cuped_ratio(random: np.random.Generator, count: int, users: int = 1000) -> float:
    """Return how the variance that CUPED leaves compares with 1 − ρ²: counts before and after, of users who differ."""
    correlation = 0.75  # of Poisson counts of mean 3·g with g ~ Exp(1): 9 / (3 + 9)
    variances, estimates = np.empty((count, 2)), np.empty((count, 2))
    for experiment in range(count):
        before, after = random.poisson(3 * random.exponential(size=2 * users), (2, 2 * users)).astype(np.float64)
        adjusted = cuped(after[:users], after[users:], before[:users], before[users:])
        pair = compare_means(after[:users], after[users:]), compare_means(adjusted.control_N, adjusted.treatment_M)
        variances[experiment] = [found.error**2 for found in pair]
        estimates[experiment] = [found.estimate for found in pair]
    expected = 1 - correlation**2
    ratio_C = variances[:, 1] / variances[:, 0] / expected
    print(f"{'CUPED, variance ÷ (1 − ρ²)':42} {ratio_C.mean():.4f} ± {ratio_C.std() / math.sqrt(count):.4f}")
    spread = estimates.var(axis=0)
    # Var of a log ratio of two variances whose estimates correlate by √(1 − ρ²).
    error = math.sqrt(4 * (1 - expected) / count)
    ratio = float(spread[1] / spread[0] / expected)
    print(f"{'  the same over experiments':42} {ratio:.4f} ± {ratio * error:.4f}")
    return round(float(ratio_C.mean()), 4)


def mismatches(random: np.random.Generator, count: int, users: int = 100_000, looks: int = 100) -> float:
    """Return how often 51/49 is found by χ²; print also how often at a look, and how often equal arms are accused."""
    rates = {}
    for share in (0.51, 0.5):
        first = random.binomial(users // looks, share, (count, looks)).cumsum(axis=1)
        counts = np.stack([first, np.arange(1, looks + 1) * (users // looks) - first], axis=-1)
        p = np.array([sample_ratio_p(row.tolist(), (0.5, 0.5)) for row in counts[:, -1]])
        evidence = sample_ratio_log_e(counts, (0.5, 0.5))
        name = f"{round(100 * share)}/{round(100 - 100 * share)} of {users:,} users"
        rates[share] = told(f"{name}, χ² at the end", p <= SRM_LEVEL)
        told(f"{name}, at one of {looks} looks", np.any(evidence >= -math.log(SRM_LEVEL), axis=1))
    return rates[0.51]


if __name__ == "__main__":
    main()
