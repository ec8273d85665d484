"""Is this window unusual among days that differ anyway? A prediction test with the variance between slices in its null.

A world that does not change still differs from day to day by more than its rows alone explain. Where the reference
holds several slices that are like the current one (days; or the same weekday and hour of several weeks), their
differences tell by how much.

Legend: S reference slices, C cells, K things that can change (level and spread, or shares of categories).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from orita.core.errors import UserError
from orita.stats.drift.components import polynomial_scores

__all__ = ["LEAST_SLICES", "SliceTest", "seasonal_slices", "slice_test"]

Floats = npt.NDArray[np.float64]

LEAST_SLICES = 4
"""Fewer slices do not tell how much slices differ."""

_SHARES = 16


@dataclass(frozen=True, slots=True)
class SliceTest:
    """The outcome for one column.

    Attributes:
        p_value: chance that a slice of an unchanged world is this unusual; 1 if nothing varies.
        overdispersion: ≥ 1; the variance between slices over the one that their rows explain, where it is largest.
        change: ``location``, ``scale``, ``share`` or ``missing``; None if nothing varies.
        effect: share of rows that moved, as in `orita.stats.drift.column.ColumnTest`.
        slices: reference slices that had rows.
    """

    p_value: float
    overdispersion: float
    change: str | None
    effect: float
    slices: int


def slice_test(
    reference_SC: npt.NDArray[np.integer],
    current_C: npt.NDArray[np.integer],
    *,
    reference_missing_S: npt.NDArray[np.integer] | None = None,
    current_missing: int = 0,
    ordered: bool = True,
) -> SliceTest:
    """Test whether the current slice is one more of the reference slices.

    Args:
        reference_SC: counts of each slice over the same cells, one row a slice.
        current_C: counts of the current slice.
        reference_missing_S: rows of each slice without a value.
        current_missing: likewise.
        ordered: cells follow the order of values; else they are categories.

    Raises:
        UserError: fewer than `LEAST_SLICES` slices with rows.

    Source: the prediction interval of a random-effects mean; Student's t with one degree of freedom less than slices,
    Bonferroni over what can change. The variance is never taken below that of the rows.
    """
    reference_SC = np.asarray(reference_SC, dtype=np.float64)
    missing_S = np.zeros(len(reference_SC)) if reference_missing_S is None else np.asarray(reference_missing_S, float)
    kept_S = reference_SC.sum(axis=1) > 0
    if kept_S.sum() < LEAST_SLICES:
        raise UserError(
            f"the reference has {int(kept_S.sum())} slices with rows, and {LEAST_SLICES} are needed to tell how much "
            "slices differ: give more, or compare with all rows together."
        )
    reference_SC, missing_S = reference_SC[kept_S], missing_S[kept_S]
    now_C = np.asarray(current_C, dtype=np.float64)
    every_SC = np.vstack([reference_SC, now_C])
    rows_S = every_SC.sum(axis=1)
    watched = _moments(every_SC) if ordered else _shares(every_SC)
    names = [name for name, _, _ in watched]
    found = [_unusual(y_S, variance, rows_S) for _, y_S, variance in watched]
    absent_S = np.append(missing_S, current_missing)
    if absent_S.any():
        all_S = rows_S + absent_S
        share = absent_S.sum() / all_S.sum()
        found.append(_unusual(absent_S / all_S, share * (1 - share), all_S))
        names = [*names, "missing"]
    if not found:
        return SliceTest(1.0, 1.0, None, 0.0, len(reference_SC))
    p_K = np.array([p for p, _ in found])
    best = int(np.argmin(p_K))
    effect = _effect(reference_SC.sum(axis=0), now_C, ordered)
    if names[best] == "missing":
        effect = float(abs(absent_S[-1] / all_S[-1] - absent_S[:-1].sum() / all_S[:-1].sum()))
    overdispersion = max(1.0, *(float(d) for _, d in found))
    return SliceTest(min(1.0, len(p_K) * float(p_K[best])), overdispersion, names[best], effect, len(reference_SC))


def seasonal_slices(
    hours_S: npt.NDArray[np.integer], current_hour: int, *, hours_of_week: int = 168
) -> npt.NDArray[np.bool_]:
    """Tell which slices have the season of the current one: the same hour of the week (24: the same hour of the day).

    Args:
        hours_S: whole hours since any Monday 00:00 UTC at which each reference slice begins.
        current_hour: likewise, of the current slice.
        hours_of_week: length of the season in hours, ≥ 1.
    """
    if hours_of_week < 1:
        raise UserError(f"hours_of_week is {hours_of_week}: give 168 (a week), 24 (a day), or any count from 1 on.")
    return np.asarray((np.asarray(hours_S) - current_hour) % hours_of_week == 0)


def _moments(every_SC: Floats) -> list[tuple[str, Floats, float]]:
    """Return what is watched of ordered cells: name, value a slice, variance that one row adds.

    The spread is taken about the slice's own level, and as a logarithm: about a common level it would grow with the
    square of a day's shift, and squares have tails that Student's t does not know.
    """
    total_C, rows_S = every_SC.sum(axis=0), np.maximum(every_SC.sum(axis=1), 1.0)
    scores_KC = polynomial_scores(total_C)
    if not len(scores_KC):
        return []
    score_C, share_C = scores_KC[0], total_C / total_C.sum()
    level_S = every_SC @ score_C / rows_S
    squares_S = every_SC @ score_C**2 / rows_S - level_S**2
    found = [("location", level_S, 1.0)]
    if squares_S.min() > 0:
        fourth = float(share_C @ score_C**4)
        found.append(("scale", np.log(squares_S) / 2, max(fourth - 1, 0.0) / 4))
    return found


def _shares(every_SC: Floats) -> list[tuple[str, Floats, float]]:
    total_C, rows_S = every_SC.sum(axis=0), np.maximum(every_SC.sum(axis=1), 1.0)
    common = np.argsort(-total_C, kind="stable")[:_SHARES]
    columns = [every_SC[:, c] for c in common if total_C[c] > 0]
    columns.append(every_SC.sum(axis=1) - sum(columns))
    found = []
    for held_S in columns:
        share = float(held_S.sum() / every_SC.sum())
        if held_S.sum() > 0:
            found.append(("share", held_S / rows_S, share * (1 - share)))
    return found


def _unusual(y_S: Floats, variance: float, rows_S: Floats) -> tuple[float, float]:
    """Return the p-value of the last of *y_S* among the others, and their overdispersion."""
    before_S, now, slices = y_S[:-1], y_S[-1], len(y_S) - 1
    if variance <= 0 or rows_S[-1] == 0:
        return 1.0, 1.0
    inverse = float((1 / rows_S[:-1]).mean())
    between = float(before_S.var(ddof=1))
    by_rows = variance * (1 / rows_S[-1] + inverse / slices)
    spread = max(between * (1 + 1 / slices) + variance * (1 / rows_S[-1] - inverse), by_rows)
    p_value = float(2 * student.sf(abs(now - before_S.mean()) / np.sqrt(spread), slices - 1))
    return p_value, between / (variance * inverse)


def _effect(before_C: Floats, now_C: Floats, ordered: bool) -> float:
    if not now_C.sum():
        return 0.0
    gap_C = now_C / now_C.sum() - before_C / before_C.sum()
    return float(np.abs(np.cumsum(gap_C)).max()) if ordered else float(np.abs(gap_C).sum() / 2)
