"""What does the test say about one series of values? Measured here, decided in `compare`.

Legend: N reference rows, M recent rows, S slices of the reference, C cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from orita.features.schema import Kind, Side
from orita.monitoring.drift.contents import Texts, Vectors
from orita.stats.clusters import design_effect
from orita.stats.drift.cells import counted, counted_rows, pooled_edges, row_cells
from orita.stats.drift.column import column_test
from orita.stats.drift.joint import embedding_test
from orita.stats.drift.repeats import Repeats
from orita.stats.drift.slices import LEAST_SLICES, slice_test
from orita.stats.drift.text import changed_word, text_test

__all__ = ["Evidence", "Series", "TestName", "evidence_for"]

TestName = Literal["ks", "categories", "missing", "words", "vectors"]

Codes = npt.NDArray[np.int64]

_WATCHED_SHARES = 8
# Relabelling users costs their rows, relabelling rows the cells alone.
_DRAWS, _CLUSTER_DRAWS = 20_000, 6_000


@dataclass(frozen=True, slots=True)
class Series:
    """One feature, or the scores, in both samples.

    Attributes:
        name, side, kind: as in the schema; side ``prediction`` and kind ``number`` for scores.
        reference_N, recent_M: values, NaN where missing.
        reference_clusters_N, recent_clusters_M: the user, the item or the category that each row belongs to.
        slices_N: slice of each reference row, 0, 1, …; None: the reference is one sample.
        segment: which requests these are, such as ``device_mobile = 1``; empty: all.
        content: texts or vectors that are compared in place of the values, which only show them.
    """

    name: str
    side: Side | Literal["prediction"]
    kind: Kind
    reference_N: npt.NDArray[np.floating]
    recent_M: npt.NDArray[np.floating]
    reference_clusters_N: npt.NDArray[np.int64]
    recent_clusters_M: npt.NDArray[np.int64]
    slices_N: Codes | None = None
    segment: str = ""
    content: Texts | Vectors | None = None

    @property
    def label(self) -> str:
        """Name and segment."""
        return f"{self.name} where {self.segment}" if self.segment else self.name

    @property
    def between_weeks(self) -> bool:
        """Texts or vectors whose reference is slices that differ by nature: there is no such test."""
        return self.content is not None and self.slices_N is not None

    @property
    def ordered(self) -> bool:
        """Values have an order: numbers and counts, not flags and categories."""
        return self.kind not in {"flag", "category"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """The test of one series.

    Attributes:
        test: ``ks`` (the distribution of values), ``categories`` (their shares), ``missing``, ``words`` or ``vectors``.
        change: the kind of change that is most remarkable (`orita.stats.drift.components.Change`), or ``share``.
        effect: share of rows that moved, 0 … 1.
        p_value: unadjusted.
        design_effect: ≥ 1.
    """

    test: TestName
    change: str
    effect: float
    p_value: float
    design_effect: float


def evidence_for(series: Series, *, seed: int) -> Evidence | None:
    """Return what the test says; None if the series is one constant, or missing throughout, in both samples.

    Repeated users and items are relabelled as a whole; days that differ by nature are allowed for by the variance
    between the slices of the reference, where it has at least four.
    Texts and vectors are compared as if there were no slices.
    """
    if series.content is not None:
        if isinstance(series.content, Texts):
            return _of_texts(series, series.content, seed)
        return _of_vectors(series, series.content, seed)
    pooled = np.concatenate([series.reference_N, series.recent_M])
    missing = np.isnan(pooled)
    present = pooled[~missing]
    if not len(present) or (present.min() == present.max() and not missing.any()):
        return None
    if series.slices_N is not None and len(np.unique(series.slices_N)) >= LEAST_SLICES:
        return _among_slices(series, series.slices_N)
    rows = row_cells(series.reference_N, series.recent_M, ordered=series.ordered, seed=seed)
    repeats = Repeats.of(*rows, series.reference_clusters_N, series.recent_clusters_M)
    effect = 1.0 if repeats is None else _design_effect(series)
    cells = counted_rows(*rows, ordered=series.ordered, design_effect=effect)
    result = column_test(cells, repeats=repeats, draws=_DRAWS if repeats is None else _CLUSTER_DRAWS, seed=seed)
    return Evidence(_test(series, result.change), result.change or "", result.effect, result.p_value, effect)


def _of_texts(series: Series, texts: Texts, seed: int) -> Evidence | None:
    if not any(texts.reference) and not any(texts.recent):
        return None
    owners = texts.owners(series.reference_clusters_N, series.recent_clusters_M)
    result = text_test(texts.reference, texts.recent, owners=owners, seed=seed)
    if result.change == "missing":
        return Evidence("missing", "missing", result.effect, result.p_value, _design_effect(series))
    # At least as many texts changed as have, or lack, that one word more.
    _, before, now = changed_word(texts.reference, texts.recent)
    effect = max(result.effect, abs(now - before))
    return Evidence("words", result.change or "", effect, result.p_value, _design_effect(series))


def _of_vectors(series: Series, vectors: Vectors, seed: int) -> Evidence | None:
    """Return what a classifier of vectors says, or the share of rows without one, whichever is surer."""
    missing_N, missing_M = np.isnan(series.reference_N), np.isnan(series.recent_M)
    if missing_N.all() and missing_M.all():
        return None
    clusters = series.reference_clusters_N, series.recent_clusters_M
    joint = embedding_test(*vectors.one_each(*clusters, seed=seed), seed=seed)
    found = Evidence("vectors", "vectors" if joint.effect else "", joint.effect, joint.p_value, _design_effect(series))
    if not missing_N.any() and not missing_M.any():
        return found
    present = (~missing_N).astype(np.int64), (~missing_M).astype(np.int64)
    repeats = Repeats.of(*present, *clusters)
    draws = _DRAWS if repeats is None else _CLUSTER_DRAWS
    absent = column_test(counted_rows(*present, ordered=False), repeats=repeats, draws=draws, seed=seed)
    surer = absent.p_value < joint.p_value
    p_value = min(1.0, 2 * min(absent.p_value, joint.p_value))
    if surer:
        return replace(found, test="missing", change="missing", effect=absent.effect, p_value=p_value)
    return replace(found, p_value=p_value)


def _test(series: Series, change: str | None) -> TestName:
    if change == "missing":
        return "missing"
    return "ks" if series.ordered else "categories"


def _among_slices(series: Series, slices_N: Codes) -> Evidence:
    missing_N, missing_M = np.isnan(series.reference_N), np.isnan(series.recent_M)
    before, now = (x.astype(np.float64) for x in (series.reference_N[~missing_N], series.recent_M[~missing_M]))
    edges = pooled_edges(before, now) if series.ordered else np.unique(np.concatenate([before, now]))[:-1]
    slices = int(slices_N.max()) + 1
    reference_SC = np.array([counted(before[slices_N[~missing_N] == s], edges) for s in range(slices)])
    result = slice_test(
        reference_SC,
        counted(now, edges),
        reference_missing_S=np.bincount(slices_N[missing_N], minlength=slices),
        current_missing=int(missing_M.sum()),
        ordered=series.ordered,
    )
    change = result.change or ""
    return Evidence(_test(series, change), change, result.effect, result.p_value, result.overdispersion)


def _design_effect(series: Series) -> float:
    """Return the largest design effect of what the test looks at: level and spread of ranks, shares, missing rate."""
    n = len(series.reference_N)
    pooled = np.concatenate([series.reference_N, series.recent_M]).astype(np.float64)
    missing = np.isnan(pooled)
    watched = [missing.astype(np.float64)] if missing.any() else []
    if series.ordered:
        ranks = np.full(len(pooled), 0.5)
        ranks[~missing] = (rankdata(pooled[~missing]) - 0.5) / max((~missing).sum(), 1)
        watched += [ranks, (ranks - 0.5) ** 2]
    else:
        values, codes, counts = np.unique(pooled[~missing], return_inverse=True, return_counts=True)
        for k in np.argsort(-counts, kind="stable")[: min(_WATCHED_SHARES, len(values))]:
            held = np.zeros(len(pooled))
            held[~missing] = codes == k
            watched.append(held)
    clusters = series.reference_clusters_N, series.recent_clusters_M
    return max(1.0, *(design_effect(x[:n, None], x[n:, None], *clusters) for x in watched))
