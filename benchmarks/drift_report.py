"""The report that the drift benchmark judges: one test a column, the correlations, all columns together.

Legend: N rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from benchmarks.drift_worlds import Kind

from orita.monitoring.drift.evidence import Series, evidence_for
from orita.stats.drift.cells import Cells, category_cells, value_cells
from orita.stats.drift.column import column_test
from orita.stats.drift.correlation import correlation_test
from orita.stats.drift.family import decide
from orita.stats.drift.joint import joint_test
from orita.stats.psi import psi
from orita.stats.two_sample import ks_statistic

__all__ = [
    "LEVEL",
    "PAIRS",
    "SEGMENT_TESTS",
    "TESTS",
    "cells_of",
    "fixed_alarms",
    "found",
    "our_p",
    "repeated_p",
    "report_p",
]  # fmt: skip

LEVEL, TESTS, SEGMENT_TESTS, PAIRS = 0.01, 22, 80, 190

Floats = npt.NDArray[np.float64]
Rows = dict[str, Floats]

_CATEGORICAL = ("share of a flag", "rare flag", "label rate", "mix", "one of", "new", "50 new")


def cells_of(name: str, before: Floats, now: Floats) -> Cells:
    """Return the counts of a column as a feature schema would have them made: its kind is known by name."""
    return category_cells(before, now) if name.startswith(_CATEGORICAL) else value_cells(before, now)


def report_p(before: Rows, now: Rows, seed: int) -> dict[str, float]:
    """Return the p-value of each test of a whole report."""
    told = {name: column_test(cells_of(name, before[name], now[name]), seed=seed).p_value for name in before}
    both = [np.column_stack(list(sample.values())) for sample in (before, now)]
    told["correlations"] = correlation_test(*both, seed=seed).p_value
    told["all together"] = joint_test(*both, seed=seed).p_value
    return told


def repeated_p(
    before: Rows, now: Rows, users_N: npt.NDArray[np.int64], users_M: npt.NDArray[np.int64]
) -> dict[str, float]:
    """Return the p-value of each column of requests that users repeat, as monitoring tests them."""
    told = {}
    for name in before:
        kind = "category" if name.startswith(_CATEGORICAL) else "number"
        evidence = evidence_for(Series(name, "user", kind, before[name], now[name], users_N, users_M), seed=0)  # type: ignore[arg-type]
        told[name] = 1.0 if evidence is None else evidence.p_value
    return told


def found(p_values: dict[str, float]) -> list[str]:
    """Return what a report at the level of the benchmark finds, no smallest effect asked for."""
    names = list(p_values)
    reported_K = decide(np.array(list(p_values.values())), np.ones(len(names)), level=LEVEL).reported_K
    return [name for name, reported in zip(names, reported_K, strict=True) if reported]


def fixed_alarms(before: Rows, now: Rows) -> tuple[bool, bool]:
    """Tell whether KS > 0.1, and whether PSI > 0.2, finds anything in any column."""
    return (
        any(ks_statistic(before[name], now[name]) > 0.1 for name in before),
        any(psi(before[name], now[name]) > 0.2 for name in before),
    )


def our_p(kind: Kind, before: Floats, now: Floats, seed: int) -> float:
    """Return the p-value that the report has for the change, times the tests of the report."""
    if kind.how == "segment":
        before, now = (x[x[:, 1] == 2, 0] for x in (before, now))
        return column_test(value_cells(before, now), seed=seed).p_value * (TESTS + SEGMENT_TESTS)
    if kind.how == "pair":
        return correlation_test(before, now, seed=seed).p_value * PAIRS * TESTS
    return column_test(cells_of(kind.name, before, now), seed=seed).p_value * TESTS
