"""The bins of a reference: where its values lie, cut so that each bin has about as many of its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa

from orita.core.errors import UserError
from orita.monitoring.profiles.bins import BinCounts, Bins, CategoryBins, NumberBins
from orita.monitoring.profiles.column import ColumnProfile
from orita.monitoring.profiles.profiler import profile_rows
from orita.monitoring.profiles.table import TableProfile

__all__ = ["BINS", "bins_of", "reference_profile"]

BINS = 20
"""Bins of numbers, unless values are few; each has about 5 % of the reference's rows."""

_MOST_CATEGORIES = 500


def bins_of(profile: TableProfile, bins: int = BINS) -> dict[str, Bins]:
    """Return by column the bins that the rows of *profile* ask for.

    Numbers are cut at quantiles, and between values where there are no more than *bins* of them; a text has a bin for
    each of its 500 most frequent values. What has only missing values, and lists and bytes, has none.

    Raises:
        UserError: *bins* is less than 2.
    """
    if bins < 2:
        raise UserError(f"bins is {bins}: compare in 2 bins or more.")
    found = {name: _bins(column, bins) for name, column in profile.columns.items()}
    return {name: each for name, each in found.items() if each is not None}


def reference_profile(
    read: Callable[[], Iterable[pa.RecordBatch]], *, columns: Sequence[str] | None = None, bins: int = BINS
) -> TableProfile:
    """Return the profile of a reference, with its own rows counted in its own bins.

    Args:
        read: gives the rows from the beginning; called twice, as bins are known only after the first time.
        columns: what is profiled, by default every column.
        bins: of numbers.
    """
    profile = profile_rows(read(), columns=columns).whole()
    for name, cut in bins_of(profile, bins).items():
        profile.columns[name].binned = BinCounts(cut)
    for batch in read():
        profile.count(batch)
    return profile


def _bins(column: ColumnProfile, bins: int) -> Bins | None:
    if column.kind == "text" and column.lengths.count:
        return CategoryBins(tuple(item.value for item in column.frequent.top(_MOST_CATEGORIES)))
    if column.kind not in ("number", "time") or not column.moments.count:
        return None
    values = column.frequent.top(bins + 1)
    if column.kind == "number" and column.frequent.complete and len(values) <= bins:
        edges = sorted(float(item.value) for item in values)[:-1]
        return NumberBins(tuple(edges))
    inner = column.quantiles.quantiles((np.arange(1, bins) / bins).tolist())
    # A value above the last edge must exist, else the last bin could not have a row of the reference.
    return NumberBins(tuple(float(e) for e in np.unique(inner) if e < column.moments.maximum))
