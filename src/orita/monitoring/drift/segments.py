"""Did a part of the requests change that is too small to move the whole? The same features, segment by segment.

Legend: N reference rows, M recent rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.monitoring.drift.evidence import Series

__all__ = ["segment_series"]

_MOST_VALUES = 8


def segment_series(series: list[Series], segments: tuple[str, ...], *, min_requests: int) -> Iterator[Series]:
    """Yield each feature again in every segment that has enough requests in both samples.

    Args:
        series: of all features.
        segments: features by whose values requests are split; of each its eight most frequent values.
        min_requests: fewer requests of a segment, on either side, are not looked at.

    Raises:
        UserError: a segment is no feature.
    """
    by_name = {one.name: one for one in series}
    for name in segments:
        if name not in by_name:
            raise UserError(
                f"drift_detection.segments names {name!r}, which is no feature: choose from {', '.join(by_name)}."
            )
        split = by_name[name]
        for value in _values(split):
            before_N, now_M = split.reference_N == value, split.recent_M == value
            if min(before_N.sum(), now_M.sum()) >= min_requests:
                others = (one for one in series if one.name != name)
                yield from (_within(one, before_N, now_M, f"{name} = {value:g}") for one in others)


def _values(split: Series) -> npt.NDArray[np.floating]:
    pooled = np.concatenate([split.reference_N, split.recent_M])
    values, counts = np.unique(pooled[~np.isnan(pooled)], return_counts=True)
    return np.sort(values[np.argsort(-counts, kind="stable")[:_MOST_VALUES]])


def _within(one: Series, before_N: npt.NDArray[np.bool_], now_M: npt.NDArray[np.bool_], segment: str) -> Series:
    return replace(
        one,
        reference_N=one.reference_N[before_N],
        recent_M=one.recent_M[now_M],
        reference_clusters_N=one.reference_clusters_N[before_N],
        recent_clusters_M=one.recent_clusters_M[now_M],
        slices_N=None if one.slices_N is None else one.slices_N[before_N],
        segment=segment,
    )
