"""How often does a drift report find something where nothing changed? And how soon do detectors of streams call?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from benchmarks.drift_report import LEVEL, TESTS, fixed_alarms, found, repeated_p, report_p
from benchmarks.drift_worlds import day, draw, seasonal_day, visited

from orita.stats.drift.cells import value_cells
from orita.stats.drift.column import column_test
from orita.stats.drift.online import Adwin, OnlineDetector, PageHinkley
from orita.stats.drift.slices import slice_test

__all__ = ["WORLDS", "Unchanged", "repeated_alarms", "seasonal_alarms", "streams", "unchanged_reports"]

WORLDS = ("mixed", "continuous")
WEEKS, _FIXED_REPORTS = 12, 40
DETECTORS: dict[str, Callable[[], OnlineDetector]] = {"adwin": Adwin, "page_hinkley": PageHinkley}


@dataclass(slots=True)
class Unchanged:
    """What was found where nothing changed.

    Attributes:
        world, n: what was drawn, and how many rows of each sample.
        reports, alarms: reports made, and those that found anything.
        fixed, ks, psi: reports that the fixed thresholds saw too, and how many of those each alarmed in.
        small: tests with a p-value of at most the level of a report over its tests, by name.
    """

    world: str
    n: int
    reports: int = 0
    alarms: int = 0
    fixed: int = 0
    ks: int = 0
    psi: int = 0
    small: Counter[str] = field(default_factory=Counter)

    def take(self, p_values: dict[str, float]) -> None:
        """Count one report."""
        self.reports += 1
        self.alarms += bool(found(p_values))
        self.small.update(name for name, p in p_values.items() if p <= LEVEL / TESTS)

    def __str__(self) -> str:
        fixed = f"; KS > 0.1 {self.ks} and PSI > 0.2 {self.psi} of {self.fixed}" if self.fixed else ""
        often = ", ".join(f"{name} {times}" for name, times in self.small.most_common(4))
        return (
            f"unchanged, {self.world:10} n {self.n:>9,}: {self.alarms} of {self.reports} reports "
            f"({self.alarms / max(self.reports, 1):.2%}){fixed}. p ≤ {LEVEL / TESTS:.2g}: {often or 'never'}"
        )


def unchanged_reports(world: str, n: int, reports: int, seed: int) -> Unchanged:
    """Judge *reports* reports on two samples of *n* rows each of a *world* that did not change."""
    rng, told = np.random.default_rng((seed, n, WORLDS.index(world))), Unchanged(world, n)
    for i in range(reports):
        before, now = (
            draw(rng, n) if world == "mixed" else {f"mean {d}": x for d, x in enumerate(day(rng, n).T)}
            for _ in range(2)
        )
        told.take(report_p(before, now, seed=i))
        if i < _FIXED_REPORTS:
            ks, psi = fixed_alarms(before, now)
            told.fixed, told.ks, told.psi = told.fixed + 1, told.ks + ks, told.psi + psi
    return told


def repeated_alarms(n: int, reports: int, seed: int) -> Unchanged:
    """Judge reports on *n* requests of users of whom few ask often, a quarter as many users as requests."""
    rng, told = np.random.default_rng((seed, n, 8)), Unchanged("repeated", n)
    for _ in range(reports):
        (before, users_N), (now, users_M) = visited(rng, n)
        told.take(repeated_p(before, now, users_N, users_M))
    return told


def seasonal_alarms(reports: int, seed: int, rows: int = 1000) -> tuple[Unchanged, Unchanged]:
    """Judge days against the same weekday of 12 weeks, and the first few against all days pooled too."""
    rng = np.random.default_rng((seed, 7))
    same, pooled = Unchanged("seasonal", rows), Unchanged("pooled", rows)
    edges = np.linspace(-2.5, 2.5, 39)
    for i in range(reports):
        days = np.array([seasonal_day(rng, rows, i % 7) for _ in range(WEEKS + 1)])
        same.take({f"column {d}": _slice_p(days[:, :, d], edges) for d in range(days.shape[2])})
        if i < _FIXED_REPORTS:
            others = np.concatenate([seasonal_day(rng, rows, w) for w in range(7)])
            cells = [value_cells(others[:, d], days[-1, :, d]) for d in range(days.shape[2])]
            pooled.take({f"column {d}": column_test(c, draws=2000).p_value for d, c in enumerate(cells)})
    return same, pooled


def _slice_p(days_SN: np.ndarray, edges: np.ndarray) -> float:
    cells = len(edges) + 1
    counts_SC = np.array([np.bincount(np.searchsorted(edges, x_N), minlength=cells) for x_N in days_SN])
    return slice_test(counts_SC[:-1], counts_SC[-1]).p_value


def streams(changes: int, unchanged: int, seed: int, steps: int = 100_000) -> Iterator[tuple[str, float, float, int]]:
    """Yield each detector, its false alarms in 100,000 steps, and its mean delay and misses, error rate 10 → 15 %.

    A change comes after 5,000 steps at 10 %; what is not called within 6,000 steps more counts as 6,000.
    """
    for name, make in DETECTORS.items():
        rng = np.random.default_rng((seed, 9))
        alarms = sum(len(_called(make(), (rng.random(steps) < 0.1))) for _ in range(unchanged))
        delays = []
        for _ in range(changes):
            detector = make()
            _called(detector, rng.random(5_000) < 0.1)
            delays.append((_called(detector, rng.random(6_000) < 0.15) or [6_000])[0])
        yield name, alarms / unchanged * 100_000 / steps, float(np.mean(delays)), sum(d == 6_000 for d in delays)


def _called(detector: OnlineDetector, errors_N: np.ndarray) -> list[int]:
    return [i for i, error in enumerate(errors_N.astype(float).tolist()) if detector.update(error)]
