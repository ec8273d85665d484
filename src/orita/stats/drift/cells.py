"""Which cells does a column fall into? Counts of two samples over the same cells, all that the tests need.

Legend: N reference values, M current values, C cells of ordered values or categories. NaN means missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError

__all__ = ["TAILS", "Cells", "category_cells", "counted", "counted_rows", "pooled_edges", "row_cells", "value_cells"]

Codes = npt.NDArray[np.int64]

TAILS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
"""Shares of the pooled rows beyond which the extremes of both ends are counted."""

_INNER = 64
_EDGE_ROWS = 50_000
_DISTINCT = 100
_ATOMS, _ATOM_ROWS, _ATOM_SHARE = 32, 4, 0.0005


@dataclass(frozen=True, slots=True)
class Cells:
    """Counts of a reference and a current sample over the same cells.

    Attributes:
        reference_C, current_C: rows in each cell, ≥ 0, in the order of the values if they are ordered.
        reference_missing, current_missing: rows without a value.
        ordered: cells follow the order of values; else they are categories.
        design_effect: ≥ 1; repeated users or items make both samples worth this many times fewer rows.
    """

    reference_C: npt.NDArray[np.int64]
    current_C: npt.NDArray[np.int64]
    reference_missing: int = 0
    current_missing: int = 0
    ordered: bool = True
    design_effect: float = 1.0

    def __post_init__(self) -> None:
        if len(self.reference_C) != len(self.current_C):
            raise UserError(
                f"the reference has {len(self.reference_C)} cells and the current sample {len(self.current_C)}: "
                "count both over the same cells."
            )
        least = [self.reference_missing, self.current_missing, self.reference_C.min(initial=0)]
        if min(*least, self.current_C.min(initial=0)) < 0:
            raise UserError("a cell holds a negative count: give rows counted, 0 or more.")
        if not self.design_effect >= 1:
            raise UserError(f"design_effect is {self.design_effect:g}: give 1 (independent rows) or more.")

    @property
    def n(self) -> int:
        """Reference rows, missing values included."""
        return int(self.reference_C.sum()) + self.reference_missing

    @property
    def m(self) -> int:
        """Current rows, missing values included."""
        return int(self.current_C.sum()) + self.current_missing


def value_cells(
    reference_N: npt.NDArray[np.floating],
    current_M: npt.NDArray[np.floating],
    *,
    design_effect: float = 1.0,
    seed: int = 0,
) -> Cells:
    """Return two samples of numbers counted over cells of their pooled values, missing values apart.

    Cells are the distinct values where these are few, else pooled quantiles with fine, open tails. They do not depend
    on which sample a row is of, so relabelling rows stays an exact null.
    """
    reference_n, current_n = _present(reference_N), _present(current_M)
    edges = pooled_edges(reference_n, current_n, seed=seed)
    return Cells(
        counted(reference_n, edges),
        counted(current_n, edges),
        len(reference_N) - len(reference_n),
        len(current_M) - len(current_n),
        design_effect=design_effect,
    )


def pooled_edges(
    reference_n: npt.NDArray[np.float64], current_n: npt.NDArray[np.float64], *, seed: int = 0
) -> npt.NDArray[np.float64]:
    """Return sorted inner edges, values ≤ an edge lying below it; from at most 50,000 pooled rows drawn at random."""
    pooled = np.concatenate([reference_n, current_n])
    if len(pooled) > _EDGE_ROWS:
        pooled = pooled[np.random.default_rng(seed).integers(0, len(pooled), _EDGE_ROWS)]
    pooled = np.sort(pooled)
    starts = np.flatnonzero(np.concatenate([[len(pooled) > 0], pooled[1:] != pooled[:-1]]))
    distinct = pooled[starts]
    if len(distinct) <= _DISTINCT:
        return distinct[:-1]
    tails = np.array(TAILS)
    shares = np.concatenate([tails, np.linspace(0, 1, _INNER + 1)[1:-1], 1 - tails])
    at = np.clip(np.ceil(np.sort(shares) * len(pooled)).astype(np.int64) - 1, 0, len(pooled) - 1)
    edges = np.unique(np.concatenate([pooled[at], *_around_atoms(distinct, np.diff(starts, append=len(pooled)))]))
    # The largest value closes nothing: an edge there would leave the last cell empty.
    return np.asarray(edges[edges < pooled[-1]])


def counted(present: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return how many of *present* (no NaN) lie in each of the ``len(edges) + 1`` cells, edges in the cell below."""
    return np.bincount(np.searchsorted(edges, present, side="left"), minlength=len(edges) + 1).astype(np.int64)


def _around_atoms(
    distinct: npt.NDArray[np.float64], counts: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return edges at, and just below, the values that repeat: a default that fills some rows has a cell of its own."""
    repeated = np.flatnonzero(counts >= max(_ATOM_ROWS, _ATOM_SHARE * counts.sum()))
    atoms = distinct[repeated[np.argsort(-counts[repeated], kind="stable")[:_ATOMS]]]
    return atoms, np.nextafter(atoms, -np.inf)


def category_cells(
    reference_N: npt.NDArray[np.generic], current_M: npt.NDArray[np.generic], *, design_effect: float = 1.0
) -> Cells:
    """Return two samples of categories (numbers or text) counted by category; NaN is missing.

    A category that one sample lacks counts 0 there, so new and vanished ones are kept.
    """
    pooled = np.concatenate([reference_N, current_M])
    missing = np.isnan(pooled) if pooled.dtype.kind == "f" else np.zeros(len(pooled), dtype=np.bool_)
    n = len(reference_N)
    _, codes = np.unique(pooled[~missing], return_inverse=True)
    first = int(n - missing[:n].sum())
    categories = int(codes.max(initial=-1)) + 1
    return Cells(
        np.bincount(codes[:first], minlength=categories).astype(np.int64),
        np.bincount(codes[first:], minlength=categories).astype(np.int64),
        int(missing[:n].sum()),
        int(missing[n:].sum()),
        ordered=False,
        design_effect=design_effect,
    )


def row_cells(
    reference_N: npt.NDArray[np.floating], current_M: npt.NDArray[np.floating], *, ordered: bool, seed: int = 0
) -> tuple[Codes, Codes]:
    """Return the cell of each row, 1 and up as `value_cells` or `category_cells` has them; 0: missing."""
    pooled = np.concatenate([reference_N, current_M]).astype(np.float64)
    present = ~np.isnan(pooled)
    codes = np.zeros(len(pooled), dtype=np.int64)
    n = len(reference_N)
    if ordered:
        edges = pooled_edges(_present(reference_N), _present(current_M), seed=seed)
        codes[present] = 1 + np.searchsorted(edges, pooled[present], side="left")
    else:
        codes[present] = 1 + np.unique(pooled[present], return_inverse=True)[1]
    return codes[:n], codes[n:]


def counted_rows(reference_N: Codes, current_M: Codes, *, ordered: bool, design_effect: float = 1.0) -> Cells:
    """Return the counts of what `row_cells` returned."""
    cells = 1 + max(int(reference_N.max(initial=0)), int(current_M.max(initial=0)))
    reference_C, current_C = (
        np.bincount(codes, minlength=cells).astype(np.int64) for codes in (reference_N, current_M)
    )
    missing = int(reference_C[0]), int(current_C[0])
    return Cells(reference_C[1:], current_C[1:], *missing, ordered=ordered, design_effect=design_effect)


def _present(values_N: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    values = np.asarray(values_N, dtype=np.float64)
    return values[~np.isnan(values)]
