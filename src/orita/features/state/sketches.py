"""Sketches of Apache DataSketches as bytes: how many different values there are, and their quantiles.

Bytes that are empty are the sketch of nothing. Legend: N values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasketches
import numpy as np
import numpy.typing as npt

from orita.features.declarations import Aggregate

__all__ = ["estimate", "sketch"]

Floats = npt.NDArray[np.float64]

_K = 200


def sketch(measure: Aggregate, earlier: Sequence[bytes], value_N: Floats) -> bytes:
    """Return the sketch of what *earlier* sketches have seen, and of *value_N*.

    Args:
        measure: an ``approx_distinct``, whose values are the bits of int64, or a ``quantile``.
        earlier: sketches of the same measure.
        value_N: further values, none missing.
    """
    if measure.function == "quantile":
        merged = _united_quantiles(earlier)
        if len(value_N):
            merged.update(np.ascontiguousarray(value_N))
        return b"" if merged.is_empty() else bytes(merged.serialize())
    united = _united_distinct(int(measure.parameter), earlier)
    for value in value_N.view(np.int64).tolist():
        united.update(value)
    return b"" if united.is_empty() else bytes(united.get_result(_register()).serialize_compact())


def estimate(aggregate: Aggregate, sketches: Sequence[bytes | None]) -> float:
    """Return the value of *aggregate* that *sketches* together give; NaN for a quantile of nothing."""
    if aggregate.function == "quantile":
        united = _united_quantiles(sketches)
        return np.nan if united.is_empty() else float(united.get_quantile(aggregate.parameter, True))
    return float(round(_united_distinct(int(aggregate.parameter), sketches).get_estimate()))


def _united_quantiles(sketches: Sequence[bytes | None]) -> Any:
    united = datasketches.kll_doubles_sketch(_K)
    for raw in filter(None, sketches):
        united.merge(datasketches.kll_doubles_sketch.deserialize(raw))
    return united


def _united_distinct(lg_k: int, sketches: Sequence[bytes | None]) -> Any:
    united = datasketches.hll_union(lg_k)
    for raw in filter(None, sketches):
        united.update(datasketches.hll_sketch.deserialize(raw))
    return united


def _register() -> Any:
    return datasketches.tgt_hll_type.HLL_8
