"""Where the values of a reference lie, and how many values of anything else lie there: exact counts, plain arrays.

Legend: B bins, E = B − 1 inner edges, U different values. The first and the last bin of numbers are open, so no value
falls outside; values of a category that the reference does not have are counted as unseen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.errors import UserError

__all__ = ["BinCounts", "Bins", "CategoryBins", "NumberBins"]

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class NumberBins:
    """Bins of numbers: up to and with the first edge, …, above the last; *edges* ascend and are finite."""

    edges: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.edges) + 1

    def counts(self, x_N: npt.NDArray[np.float64], *, below: int = 0, above: int = 0) -> Counts:
        """Return ``counts_B`` of finite values in ascending order, and of so many −∞ and ∞."""
        ends_E = np.searchsorted(x_N, np.asarray(self.edges), side="right")
        counts_B = np.diff(np.concatenate([[0], ends_E, [len(x_N)]])).astype(np.int64)
        counts_B[0] += below
        counts_B[-1] += above
        return counts_B


@dataclass(frozen=True, slots=True)
class CategoryBins:
    """A bin for each of *values*."""

    values: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    def counts(self, values: pa.Array, counts_U: Counts) -> tuple[Counts, int]:
        """Return ``counts_B`` of different values that have so many rows each, and the rows of unseen ones."""
        place_U = pc.index_in(values, value_set=pa.array(self.values, values.type)).fill_null(len(self.values))
        counted = np.bincount(place_U.to_numpy(zero_copy_only=False), weights=counts_U, minlength=len(self) + 1)
        counted = counted.astype(np.int64)
        return counted[:-1], int(counted[-1])


Bins = NumberBins | CategoryBins


@dataclass(slots=True)
class BinCounts:
    """How many rows lie in each bin.

    Attributes:
        bins: the bins.
        counts_B: rows in each.
        missing: rows without a value.
        unseen: rows with a category that has no bin; 0 of numbers.
    """

    bins: Bins
    counts_B: Counts = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    missing: int = 0
    unseen: int = 0

    def __post_init__(self) -> None:
        if not len(self.counts_B):
            self.counts_B = np.zeros(len(self.bins), dtype=np.int64)

    def merge(self, other: BinCounts) -> None:
        """Add the rows of *other*.

        Raises:
            UserError: they lie in other bins.
        """
        if self.bins != other.bins:
            raise UserError(
                "two profiles were counted in the bins of different references: profile both against the same one."
            )
        self.counts_B = self.counts_B + other.counts_B
        self.missing += other.missing
        self.unseen += other.unseen

    @property
    def cells(self) -> Counts:
        """All rows, as `orita.stats.psi.psi_of_counts` takes them: missing, then each bin, then unseen."""
        return np.concatenate([[self.missing], self.counts_B, [self.unseen]]).astype(np.int64)
