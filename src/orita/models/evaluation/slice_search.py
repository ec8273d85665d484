"""The tests behind a search for bad slices: cells of rows, each compared with all rows of the search.

Legend: N rows, L cells (disjoint parts of the rows by one feature or by two).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import t

from orita.models.evaluation.parts import Parting
from orita.models.evaluation.scored_rows import Scores
from orita.models.evaluation.slice_measures import Measure, SliceMeasure, slice_measure
from orita.models.examples import Examples
from orita.stats.cells import cell_differences

__all__ = ["Candidate", "Cells", "SliceSearch", "Tested", "cells_of"]

_LEAST_CLUSTERS = 10
_MOST_CELLS = 20_000  # of a pair; two features of more values together are not crossed


@dataclass(frozen=True, slots=True)
class Cells:
    """Rows cut by one feature or by two at once; made of its cuts when asked for, since there are many ways to cut."""

    cuts: tuple[Parting, ...]

    @property
    def count(self) -> int:
        """L."""
        return int(np.prod([len(cut.labels) for cut in self.cuts]))

    def cell_of_rows(self) -> npt.NDArray[np.int32]:
        """Return ``cell_N``, 0 … L−1."""
        cell_N = self.cuts[0].part_N
        for cut in self.cuts[1:]:
            cell_N = cell_N * np.int32(len(cut.labels)) + cut.part_N
        return cell_N

    def conditions(self, cell: int) -> tuple[tuple[str, str], ...]:
        """Return (feature, value) of each cut."""
        places = np.unravel_index(cell, [len(cut.labels) for cut in self.cuts])
        return tuple((cut.name, cut.labels[int(place)]) for cut, place in zip(self.cuts, places, strict=True))


class Tested(NamedTuple):
    """A cell that was tested; ``evidence`` is the difference over its standard error."""

    cell: int
    rows: int
    positives: int
    value: float
    difference: float
    effect: float
    evidence: float
    p_value: float


class Candidate(NamedTuple):
    """One of the *cells*, and how its test went."""

    cells: Cells
    test: Tested


class SliceSearch:
    """Rows with scores, among which cells are tested."""

    def __init__(self, name: Measure, rows: Examples, scores_N: Scores, least_rows: int) -> None:
        self._name, self._rows, self._scores_N, self._least_rows = name, rows, scores_N, least_rows
        ids = (np.unique(ids_N, return_inverse=True)[1] for ids_N in (rows.users_N, rows.items_N))
        self._clusterings = [cluster_N.astype(np.int64) for cluster_N in ids]

    @cached_property
    def measure(self) -> SliceMeasure:
        """The figure on all rows of the search."""
        return slice_measure(self._name, self._rows.y_N, self._scores_N)

    def test(self, cells: Cells) -> Iterator[Candidate]:
        """Yield the cells that are large enough, each compared with all rows."""
        yield from (Candidate(cells, tested) for tested in self._tested(cells.cell_of_rows(), cells.count))

    def without_echoes(
        self, found: Sequence[tuple[Candidate, float]], most: int, level: float
    ) -> Iterator[tuple[Candidate, float]]:
        """Yield those that are worse among the rows that no slice before them holds, too, and by half as much."""
        free_N, rest, listed = np.ones(len(self._rows), np.bool_), self, 0
        for candidate, adjusted_p in found:
            if listed == most:
                return
            inside_N = candidate.cells.cell_of_rows() == candidate.test.cell
            if rest._is_worse(inside_N[free_N], candidate.test.effect / 2, level):
                yield candidate, adjusted_p
                listed += 1
                free_N &= ~inside_N
                rest = self._take(np.flatnonzero(free_N))

    def _is_worse(self, inside_N: npt.NDArray[np.bool_], least_effect: float, level: float) -> bool:
        found = next(self._tested(np.where(inside_N, np.int32(0), np.int32(-1)), 1), None)
        return found is not None and found.p_value <= level and found.effect >= least_effect

    def _take(self, kept: npt.NDArray[np.intp]) -> SliceSearch:
        return SliceSearch(self._name, self._rows.take(kept), self._scores_N[kept], self._least_rows)

    def _tested(self, cell_N: npt.NDArray[np.int32], count: int) -> Iterator[Tested]:
        """Yield the cells that can be tested; rows of cell −1 are in none."""
        rows_L = np.bincount(cell_N[cell_N >= 0], minlength=count)
        kept_L = (rows_L >= self._least_rows) & (rows_L < len(cell_N))
        if not kept_L.any():
            return
        cell_N = np.where((cell_N >= 0) & kept_L[cell_N], cell_N, np.int32(-1))
        positives_L = np.bincount(cell_N[(self._rows.y_N > 0) & (cell_N >= 0)], minlength=count)
        value_L, influence_N = self.measure.influence(cell_N, count)
        errors = cell_differences(influence_N, self.measure.overall_N, cell_N, count, self._clusterings)
        kept_L &= self.measure.testable(rows_L, positives_L) & (errors.degrees_L >= _LEAST_CLUSTERS - 1)
        kept = np.flatnonzero(kept_L & (errors.error_L > 0))
        difference = self.measure.worse(value_L[kept])
        evidence = difference / errors.error_L[kept]
        p_value = t.sf(evidence, errors.degrees_L[kept])
        sizes = (kept.tolist(), rows_L[kept].tolist(), positives_L[kept].tolist())
        found = (value_L[kept], difference, self.measure.effect(value_L[kept]), evidence, p_value)
        yield from map(Tested, *sizes, *(column.tolist() for column in found))


def cells_of(cuts: Sequence[Parting], *, pairs: bool) -> Iterator[Cells]:
    """Yield each parting alone, then each pair of them."""
    yield from (Cells((cut,)) for cut in cuts)
    for a, b in combinations(cuts, 2) if pairs else ():
        if len(a.labels) * len(b.labels) <= _MOST_CELLS:
            yield Cells((a, b))
