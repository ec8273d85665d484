"""What do the tests say about one series of values? Measured here, decided in `drift`.

Legend: N reference rows, M recent rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from orita.features.schema import Kind, Side
from orita.stats.clustered_shares import clustered_shares_test
from orita.stats.clusters import rank_design_effect
from orita.stats.contingency import homogeneity_test, paired_counts, total_variation
from orita.stats.psi import bin_counts, psi_test, quantile_edges
from orita.stats.two_sample import ks_critical_distance, ks_test

__all__ = ["Evidence", "Series", "TestName", "evidence_for"]

TestName = Literal["ks", "psi", "categories", "missing"]


@dataclass(frozen=True, slots=True)
class Series:
    """One feature, or the scores, in both samples.

    Attributes:
        name, side, kind: as in the schema; side ``prediction`` and kind ``number`` for scores.
        reference_N, recent_M: values, NaN where missing.
        reference_clusters_N, recent_clusters_M: the user or the item that each row belongs to.
    """

    name: str
    side: Side | Literal["prediction"]
    kind: Kind
    reference_N: npt.NDArray[np.floating]
    recent_M: npt.NDArray[np.floating]
    reference_clusters_N: npt.NDArray[np.int64]
    recent_clusters_M: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One test of one series.

    Attributes:
        test: which.
        effect: share of rows that moved, 0 … 1.
        p_value: unadjusted.
        design_effect: ≥ 1.
        visible_at: the effect that would have been called at a given level.
    """

    test: TestName
    effect: float
    p_value: float
    design_effect: float
    visible_at: Callable[[float], float]


def evidence_for(series: Series, *, bins: int, seed: int) -> list[Evidence]:
    """Return the tests that fit the series; none if it is one constant, or missing throughout, in both
    samples.

    Numbers and counts: KS on the values present, and a test of the missing rate if any is missing. Flags and
    categories: a test of the shares, missing being a category. Scores: KS, and PSI for changes of shape.
    A test whose outcome is certain given both samples together is left out: it would only thin the level.
    """
    pooled = np.concatenate([series.reference_N, series.recent_M])
    missing = np.isnan(pooled)
    present = pooled[~missing]
    if series.kind in {"flag", "category"}:
        constant = len(present) == 0 or (present.min() == present.max() and not missing.any())
        return [] if constant else [_categories(series, seed)]
    found: list[Evidence] = []
    if len(present) and present.min() < present.max():
        found.append(_values(series))
        if series.side == "prediction":
            found.append(_shape(series, bins, seed))
    if missing.any() and not missing.all():
        found.append(_missing(series, seed))
    return found


def _values(series: Series) -> Evidence:
    effect = rank_design_effect(
        series.reference_N, series.recent_M, series.reference_clusters_N, series.recent_clusters_M
    )
    result = ks_test(series.reference_N, series.recent_M, design_effect=effect)
    distance = 0.0 if np.isnan(result.statistic) else result.statistic
    return Evidence(
        "ks",
        distance,
        result.p_value,
        effect,
        lambda level: ks_critical_distance(result.n, result.m, level, design_effect=effect),
    )


def _shape(series: Series, bins: int, seed: int) -> Evidence:
    edges = quantile_edges(series.reference_N, bins)
    # Missing values get a bin of their own.
    pooled = np.concatenate([series.reference_N, series.recent_M])
    codes = np.where(np.isnan(pooled), len(edges) + 1, np.searchsorted(edges, pooled))
    alone = psi_test(series.reference_N, series.recent_M, bins=bins, seed=seed)
    moved = total_variation(bin_counts(series.reference_N, edges), bin_counts(series.recent_M, edges))
    return _with_clusters("psi", series, codes, moved=moved, p_alone=alone.p_value)


def _categories(series: Series, seed: int) -> Evidence:
    return _shares("categories", series, series.reference_N, series.recent_M, seed=seed)


def _missing(series: Series, seed: int) -> Evidence:
    absent_N = np.isnan(series.reference_N).astype(np.float64)
    return _shares("missing", series, absent_N, np.isnan(series.recent_M).astype(np.float64), seed=seed)


def _shares(
    test: Literal["categories", "missing"],
    series: Series,
    reference_N: npt.NDArray[np.floating],
    recent_M: npt.NDArray[np.floating],
    *,
    seed: int,
) -> Evidence:
    codes = np.unique(np.concatenate([reference_N, recent_M]), return_inverse=True, equal_nan=True)[1]
    alone = homogeneity_test(*paired_counts(reference_N, recent_M), seed=seed)
    return _with_clusters(test, series, codes, moved=alone.distance, p_alone=alone.p_value)


def _with_clusters(
    test: TestName, series: Series, codes: npt.NDArray[np.integer], *, moved: float, p_alone: float
) -> Evidence:
    """Return evidence that holds for independent and for clustered rows; *codes* are both samples' categories.

    The larger p-value counts: the one is exact without clusters, the other allows for them.
    """
    n = len(series.reference_N)
    clustered = clustered_shares_test(codes[:n], codes[n:], series.reference_clusters_N, series.recent_clusters_M)
    categories = len(np.unique(codes))
    sizes = 1 / len(series.reference_N) + 1 / len(series.recent_M)

    def visible(level: float) -> float:
        # By Cauchy and Schwarz, total variation is at most √(χ² · sizes) / 2: beyond it χ² must be significant.
        critical = max(float(chi2.isf(level, max(categories - 1, 1))), clustered.critical(level))
        return min(1.0, float(np.sqrt(critical * sizes)) / 2)

    return Evidence(test, moved, max(p_alone, clustered.p_value), max(1.0, clustered.design_effect), visible)
