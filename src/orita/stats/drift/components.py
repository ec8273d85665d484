"""What can change in a column? One p-value for each kind of change, quick and approximate, to be combined and
calibrated together by `column`.

Legend: R relabellings (or the one observation), C cells, K kinds of change. ``x`` are current counts, ``t`` pooled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, erfc, kolmogorov, ndtri, pdtrc

from orita.stats.drift.cells import TAILS

__all__ = ["ORDERED", "UNORDERED", "Change", "Kinds", "margin_p", "polynomial_scores"]

Floats = npt.NDArray[np.float64]
Change = Literal[
    "location", "scale", "skew", "kurtosis", "ks", "shape", "spike", "extremes", "missing", "categories", "new"
]

ORDERED: tuple[Change, ...] = (
    "location", "scale", "skew", "kurtosis", "ks", "shape", "spike", "extremes", "missing"
)  # fmt: skip
UNORDERED: tuple[Change, ...] = ("categories", "spike", "new", "missing")

_GROUPS = 16
# A cell with fewer pooled rows cannot be remarkable alone.
_LEAST_ROWS = 4
_LEAST_EXPECTED = 2.0
_MOMENTS = 4


def margin_p(x: Floats, t: Floats | float, m: Floats | float, rows: float) -> Floats:
    """Return the two-sided p-value of *x* of *m* current rows in a cell that holds *t* of all *rows*.

    The likelihood ratio of the 2 × 2 table with Yates's correction: within a tenth or so of Fisher's exact test from
    expected counts of 1 on, and cheap over many cells.
    """
    expected = np.asarray(t * m / max(rows, 1.0))
    gap = x - expected
    gap = np.sign(gap) * np.maximum(np.abs(gap) - 0.5, 0.0)
    deviance = np.zeros(np.broadcast(x, expected).shape)
    for mean, sign in (
        (expected, 1.0),
        (t - expected, -1.0),
        (m - expected, -1.0),
        (rows - t - m + expected, 1.0),
    ):
        found = np.maximum(mean + sign * gap, 1e-12)
        deviance += 2 * found * np.log(found / np.maximum(mean, 1e-12))
    return np.asarray(erfc(np.sqrt(np.maximum(deviance, 0.0) / 2)))


@dataclass(frozen=True, slots=True)
class Kinds:
    """The kinds of change that pooled counts allow to look for; made once, applied to many relabellings.

    Attributes:
        total_C: pooled counts of the cells.
        missing: pooled rows without a value.
        current: current rows, missing ones included.
        names: kinds in the order of the columns of `p_values`.
    """

    total_C: Floats
    missing: float
    current: float
    names: tuple[Change, ...]
    scores_KC: Floats
    member_CG: Floats
    tails_CT: Floats

    @classmethod
    def of(cls, total_C: Floats, missing: float, current: float, *, ordered: bool) -> Kinds:
        """Prepare *total_C* pooled counts of ordered cells or of categories."""
        names = ORDERED if ordered else UNORDERED
        if ordered:
            scores, groups, tails = polynomial_scores(total_C), _coarse(total_C), _tails(total_C)
        else:
            share = current / max(total_C.sum() + missing, 1.0)
            small = total_C * min(share, 1 - share) < _LEAST_EXPECTED
            groups = np.where(small, 0, np.cumsum(~small)).astype(np.int64)
            scores, tails = np.empty((0, len(total_C))), np.empty((len(total_C), 0))
        return cls(total_C, missing, current, names, scores, _members(groups, total_C), tails)

    def p_values(self, x_RC: Floats, missing_R: Floats) -> Floats:
        """Return ``p_RK`` of current counts *x_RC* and *missing_R*; a kind that cannot occur has ∞."""
        rows, present_R = float(self.total_C.sum()), x_RC.sum(axis=1)
        missing_p = (
            margin_p(missing_R, self.missing, present_R + missing_R, rows + self.missing)
            if self.missing
            else np.full(len(x_RC), np.inf)
        )
        spike = self._most(x_RC, self.total_C, present_R, rows)
        if self.names is UNORDERED:
            parts = [self._shares(x_RC, present_R, rows), spike, self._new(x_RC), missing_p]
            return np.column_stack(parts)
        moments_RK = self._moments(x_RC, present_R, rows)
        tails = self._most(x_RC @ self.tails_CT, self.total_C @ self.tails_CT, present_R, rows)
        parts = [self._ks(x_RC, present_R, rows), self._shares(x_RC, present_R, rows), spike, tails, missing_p]
        return np.column_stack([moments_RK, *parts])

    def _moments(self, x_RC: Floats, present_R: Floats, rows: float) -> Floats:
        # Scores have pooled mean 0 and mean square 1, so this is the whole variance without replacement.
        variance_R = present_R * (rows - present_R) / max(rows - 1, 1.0)
        z_RK = (x_RC @ self.scores_KC.T) / np.sqrt(np.maximum(variance_R, 1e-12))[:, None]
        p_RK = np.full((len(x_RC), _MOMENTS), np.inf)
        p_RK[:, : z_RK.shape[1]] = erfc(np.abs(z_RK) / np.sqrt(2))
        return p_RK

    def _ks(self, x_RC: Floats, present_R: Floats, rows: float) -> Floats:
        other_R = rows - present_R
        usable_R = (present_R > 0) & (other_R > 0)
        first = np.cumsum(x_RC, axis=1) / np.maximum(present_R, 1)[:, None]
        second = np.cumsum(self.total_C - x_RC, axis=1) / np.maximum(other_R, 1)[:, None]
        distance = np.abs(first - second).max(axis=1, initial=0.0)
        root = np.sqrt(np.maximum(present_R * other_R / max(rows, 1.0), 0.0))
        # Stephens (1970): the limit holds well at √n + 0.12 + 0.11 / √n.
        return np.where(usable_R, kolmogorov(distance * (root + 0.12 + 0.11 / np.maximum(root, 0.1))), 1.0)

    def _shares(self, x_RC: Floats, present_R: Floats, rows: float) -> Floats:
        if rows <= 1 or self.member_CG.shape[1] < 2:
            return np.full(len(x_RC), np.inf)
        x_RG, t_G = x_RC @ self.member_CG, self.total_C @ self.member_CG
        expected_RG = present_R[:, None] * t_G / rows
        rest = present_R * (rows - present_R) / rows
        squares_R = ((x_RG - expected_RG) ** 2 / t_G).sum(axis=1) * rows
        statistic_R = squares_R / np.maximum(rest, 1e-12) / rows * (rows - 1)
        return np.asarray(chdtrc(max(len(t_G) - 1, 1), statistic_R))

    def _most(self, x_RT: Floats, t_T: Floats, present_R: Floats, rows: float) -> Floats:
        """Return the p-value of the most remarkable of several counts."""
        tried_T = (t_T >= _LEAST_ROWS) & (t_T < rows)
        if not tried_T.any():
            return np.full(len(x_RT), np.inf)
        p_RT = margin_p(x_RT[:, tried_T], t_T[tried_T], present_R[:, None], rows)
        return np.asarray(-np.expm1(int(tried_T.sum()) * np.log1p(-np.minimum(p_RT.min(axis=1), 1 - 1e-15))))

    def _new(self, x_RC: Floats) -> Floats:
        """Return the p-value of rows in categories that the other sample lacks, the smaller of both directions."""
        share = self.current / max(self.total_C.sum() + self.missing, 1.0)
        p_R = np.ones(len(x_RC))
        for x, q in ((x_RC, share), (self.total_C - x_RC, 1 - share)):
            alone_R = np.where(x >= self.total_C - 1e-9, self.total_C, 0.0).sum(axis=1)
            mean, squares = ((self.total_C**k * q**self.total_C).sum() for k in (1, 2))
            clump = squares / mean if mean > 0 else 1.0
            above_R = np.where(alone_R > 0, pdtrc(np.maximum(np.ceil(alone_R / clump) - 1, 0), mean / clump), 1.0)
            p_R = np.minimum(p_R, above_R)
        return np.minimum(2 * p_R, 1.0)


def polynomial_scores(total_C: Floats) -> Floats:
    """Return orthonormal polynomials of the normal scores of the cells, at most four: location to kurtosis."""
    rows, held_C = total_C.sum(), total_C > 0
    if held_C.sum() < 2:
        return np.empty((0, len(total_C)))
    middle_C = np.clip((np.cumsum(total_C) - total_C / 2) / rows, 0.5 / rows, 1 - 0.5 / rows)
    normal_C = ndtri(middle_C)
    weight_C = np.sqrt(total_C / rows)
    basis: list[Floats] = [weight_C]
    for power in range(1, min(_MOMENTS, int(held_C.sum()) - 1) + 1):
        column = weight_C * normal_C**power
        length = np.sqrt((column**2).sum())
        for _ in range(2):  # twice: once leaves rounding errors behind
            for known in basis:
                column = column - known * (known @ column)
        norm = np.sqrt((column**2).sum())
        if norm < 1e-9 * length:
            break
        basis.append(column / norm)
    kept = np.array(basis[1:])
    return np.asarray(np.divide(kept, weight_C, out=np.zeros_like(kept), where=weight_C > 0))


def _coarse(total_C: Floats) -> npt.NDArray[np.int64]:
    rows = max(total_C.sum(), 1.0)
    middle_C = (np.cumsum(total_C) - total_C / 2) / rows
    groups = np.minimum(middle_C * min(_GROUPS, max(2, int(rows / 10))), _GROUPS - 1).astype(np.int64)
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def _members(groups_C: npt.NDArray[np.int64], total_C: Floats) -> Floats:
    """Return 1 where a cell is of a group, one column for each group that has rows."""
    held = np.unique(groups_C[total_C > 0])
    return np.asarray(groups_C[:, None] == held, dtype=np.float64)


def _tails(total_C: Floats) -> Floats:
    rows = max(total_C.sum(), 1.0)
    below_C = np.cumsum(total_C) / rows
    above_C = 1 - below_C + total_C / rows
    slack = 1e-9
    columns = [below_C <= tail + slack for tail in TAILS] + [above_C <= tail + slack for tail in TAILS]
    distinct = {column.tobytes(): column for column in columns if column.any()}
    return np.array(list(distinct.values()), dtype=np.float64).reshape(len(distinct), len(total_C)).T
