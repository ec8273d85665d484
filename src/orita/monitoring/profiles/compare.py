"""How far apart are two profiles, column by column? Plain differences; whether chance explains them is no matter here.

Legend: B bins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orita.monitoring.profiles.bins import BinCounts, NumberBins
from orita.monitoring.profiles.column import ColumnProfile
from orita.monitoring.profiles.table import TableProfile
from orita.stats.contingency import total_variation
from orita.stats.psi import psi_of_counts

__all__ = ["Difference", "compared"]

_RANKS = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """How a column differs between a reference and something more recent.

    Attributes:
        name: of the column.
        status: ``both``; ``added`` or ``dropped``: only one side has it; ``retyped``: it is of another kind.
        missing: missing rate of the recent rows less that of the reference, −1 … 1.
        mean_shift: difference of means in standard deviations of the reference; None without two numbers.
        ks: largest distance of the distributions of present numbers, 0 … 1; at the edges of the bins where both were
            counted in the same bins, otherwise from quantile sketches.
        psi: population stability index over missing, bins and unseen, where both were counted in the same bins.
        variation: total variation, 0 … 1, over the same; the share of rows that would have to change their bin.
        unseen: share of recent rows with a category that the reference does not have.
        exact: whether *ks* comes from counts.
    """

    name: str
    status: str
    missing: float | None = None
    mean_shift: float | None = None
    ks: float | None = None
    psi: float | None = None
    variation: float | None = None
    unseen: float | None = None
    exact: bool = False


def compared(reference: TableProfile, recent: TableProfile, columns: Sequence[str] | None = None) -> list[Difference]:
    """Return the differences of the columns of both, the largest PSI first.

    Args:
        reference: what was expected.
        recent: what came.
        columns: which, by default all that either has.
    """
    names = columns or dict.fromkeys([*reference.columns, *recent.columns])
    found = [_difference(name, reference.columns.get(name), recent.columns.get(name)) for name in names]
    return sorted(found, key=lambda each: (each.status == "both", -(each.psi or 0.0), -(each.ks or 0.0)))


def _difference(name: str, before: ColumnProfile | None, now: ColumnProfile | None) -> Difference:
    if before is None or now is None:
        return Difference(name, "added" if before is None else "dropped")
    if before.kind != now.kind and "nothing" not in (before.kind, now.kind):
        return Difference(name, "retyped")
    ks = psi = variation = unseen = None
    binned = _same_bins(before.binned, now.binned)
    if binned is not None:
        first_B, second_B = (counts.cells for counts in binned)
        psi, variation = _known(psi_of_counts(first_B, second_B)), _known(total_variation(first_B, second_B))
        unseen = binned[1].unseen / now.rows if now.rows else None
        if isinstance(binned[0].bins, NumberBins):
            ks = _ks_of_counts(*binned)
    elif before.moments.count and now.moments.count:
        ks = _ks_of_sketches(before, now)
    missing = now.missing / now.rows - before.missing / before.rows if now.rows and before.rows else None
    return Difference(name, "both", missing, _mean_shift(before, now), ks, psi, variation, unseen, binned is not None)


def _same_bins(before: BinCounts | None, now: BinCounts | None) -> tuple[BinCounts, BinCounts] | None:
    return (before, now) if before is not None and now is not None and before.bins == now.bins else None


def _ks_of_counts(before: BinCounts, now: BinCounts) -> float | None:
    if not before.counts_B.sum() or not now.counts_B.sum():
        return None
    below = [counts.counts_B.cumsum() / counts.counts_B.sum() for counts in (before, now)]
    return float(np.abs(below[0] - below[1]).max())


def _ks_of_sketches(before: ColumnProfile, now: ColumnProfile) -> float:
    shares = (np.arange(_RANKS + 1) / _RANKS).tolist()
    at = sorted({*before.quantiles.quantiles(shares), *now.quantiles.quantiles(shares)})
    return float(np.abs(np.subtract(before.quantiles.ranks(at), now.quantiles.ranks(at))).max())


def _mean_shift(before: ColumnProfile, now: ColumnProfile) -> float | None:
    deviation = before.moments.deviation
    if not now.moments.count or not deviation > 0 or math.isinf(deviation):
        return None
    return (now.moments.mean - before.moments.mean) / deviation


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
