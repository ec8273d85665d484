"""Which numbers go together: correlations of every two columns, over the rows that have both.

Legend: N rows, C columns, M of them with missing values, K blocks of B rows. Element [i, j] of a matrix is about
column i in the rows where i and j both have a value.
Source: the pairwise update of Chan, Golub and LeVeque (1979), for two columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["CoMoments"]

Matrix = npt.NDArray[np.float64]

_UNTHREADED = 1 << 18
"""Multiplications of a product up to which OpenBLAS stays in one thread."""
_LEAST_BLOCK = 32


@dataclass(frozen=True, slots=True)
class CoMoments:
    """Joint second moments of columns.

    Attributes:
        names: the columns.
        n_CC: rows that have both.
        mean_CC: mean of column i in them.
        m2_CC: sum of squared distances of column i from it.
        c_CC: sum of products of both columns' distances.
    """

    names: tuple[str, ...]
    n_CC: Matrix
    mean_CC: Matrix
    m2_CC: Matrix
    c_CC: Matrix

    @classmethod
    def of(cls, names: tuple[str, ...], x_CN: Matrix) -> CoMoments:
        """Return those of rows; what is not finite is missing."""
        here_CN = np.isfinite(x_CN)
        n_C = here_CN.sum(axis=1).astype(np.float64)
        holed = np.flatnonzero(n_C < x_CN.shape[1])  # M columns, whose rows are not those of others
        z_CN = x_CN.copy()
        z_CN[~here_CN] = 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            shift_C = z_CN.sum(axis=1) / np.maximum(n_C, 1.0)
            z_CN -= shift_C[:, None]
            z_CN[~here_CN] = 0.0
            w_MN = here_CN[holed].astype(np.float64)
            n_CC = np.minimum.outer(n_C, n_C)
            n_CC[np.ix_(holed, holed)] = _products(w_MN, w_MN)
            c_CC = _products(z_CN, z_CN)
            s_CC = np.repeat(z_CN.sum(axis=1)[:, None], len(names), axis=1)
            q_CC = np.repeat(np.diag(c_CC)[:, None], len(names), axis=1)
            if len(holed):
                s_CC[:, holed] = _products(z_CN, w_MN)
                q_CC[:, holed] = _products(z_CN * z_CN, w_MN)
            some_CC = np.maximum(n_CC, 1.0)
            m2_CC = np.maximum(q_CC - s_CC * s_CC / some_CC, 0.0)
            c_CC -= s_CC * s_CC.T / some_CC
        return cls(names, n_CC, shift_C[:, None] + s_CC / some_CC, m2_CC, c_CC)

    def merged(self, other: CoMoments) -> CoMoments:
        """Return those of the rows of both; a column that one side lacks was missing in all of its rows."""
        names = self.names if self.names == other.names else tuple(sorted({*self.names, *other.names}))
        a, b = self._over(names), other._over(names)
        n_CC = a.n_CC + b.n_CC
        some_CC = np.maximum(n_CC, 1.0)
        with np.errstate(over="ignore", invalid="ignore"):
            d_CC = np.where((a.n_CC > 0) & (b.n_CC > 0), b.mean_CC - a.mean_CC, 0.0)
            weight_CC = a.n_CC * b.n_CC / some_CC
            mean_CC = np.where(a.n_CC > 0, a.mean_CC + d_CC * b.n_CC / some_CC, b.mean_CC)
            m2_CC = a.m2_CC + b.m2_CC + d_CC * d_CC * weight_CC
            c_CC = a.c_CC + b.c_CC + d_CC * d_CC.T * weight_CC
        return CoMoments(names, n_CC, mean_CC, m2_CC, c_CC)

    def correlations(self) -> Matrix:
        """Return Pearson's r of every two columns, −1 … 1; NaN where a column is constant or too few rows have both."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            r_CC = self.c_CC / (np.sqrt(self.m2_CC) * np.sqrt(self.m2_CC.T))
        r_CC[(self.n_CC < 2) | ~np.isfinite(r_CC)] = np.nan
        return np.asarray(np.clip(r_CC, -1.0, 1.0), dtype=np.float64)

    def _over(self, names: tuple[str, ...]) -> CoMoments:
        if names == self.names:
            return self
        place = np.array([names.index(name) for name in self.names], dtype=np.intp)
        wide = [np.zeros((len(names), len(names))) for _ in range(4)]
        for matrix, given in zip(wide, (self.n_CC, self.mean_CC, self.m2_CC, self.c_CC), strict=True):
            matrix[np.ix_(place, place)] = given
        return CoMoments(names, *wide)


def _products(a_CN: Matrix, b_DN: Matrix) -> Matrix:
    """Return a · bᵀ, in products so small that BLAS starts no threads, which on a busy machine wait for one another."""
    rows = a_CN.shape[1]
    block = max(_LEAST_BLOCK, _UNTHREADED // max(len(a_CN) * len(b_DN), 1))
    whole = rows - rows % block
    a_KCB, b_KDB = (m[:, :whole].reshape(len(m), whole // block, block).transpose(1, 0, 2) for m in (a_CN, b_DN))
    return np.asarray(np.matmul(a_KCB, b_KDB.transpose(0, 2, 1)).sum(axis=0) + a_CN[:, whole:] @ b_DN[:, whole:].T)
