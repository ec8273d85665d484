"""Are answers fast enough? The 99th percentile of the latency of requests.

Legend: R requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orita.monitoring.config import PerformanceConfig

__all__ = ["Latency", "request_latency"]


@dataclass(frozen=True, slots=True)
class Latency:
    """How long requests took.

    Attributes:
        state: ``exceeded``: the 99th percentile is over the limit; ``not_enough_requests``: not judged.
        requests: how many had a latency.
        p50_ms, p99_ms: percentiles; None without requests.
        limit_ms: of the 99th percentile.
        share_over_limit: share of requests slower than the limit, 0 … 1.
        sentence: in words.
    """

    state: Literal["ok", "exceeded", "not_enough_requests"]
    requests: int
    p50_ms: float | None
    p99_ms: float | None
    limit_ms: float
    share_over_limit: float | None
    sentence: str


def request_latency(predictions: pa.Table, config: PerformanceConfig) -> Latency:
    """Judge the latency of the requests in the prediction log, each counted once however many items it scored.

    Args:
        predictions: ``request_id`` and ``latency_ms``.
        config: the limit.
    """
    slowest = predictions.group_by("request_id").aggregate([("latency_ms", "max")]).column("latency_ms_max")
    values = pc.cast(slowest, pa.float64()).to_numpy(zero_copy_only=False)
    latency_R = np.asarray(values, dtype=np.float64)
    latency_R = latency_R[np.isfinite(latency_R)]
    limit, requests = config.latency_p99_threshold_ms, len(latency_R)
    if requests == 0:
        return Latency("not_enough_requests", 0, None, None, limit, None, "No request has a latency.")
    # The smallest observed value that at least 99 % do not exceed: no interpolation towards an outlier.
    p50, p99 = (float(value) for value in np.quantile(latency_R, [0.5, 0.99], method="inverted_cdf"))
    over = float((latency_R > limit).mean())
    figures = f"p99 {p99:.1f} ms over {requests:,} requests, limit {limit:g} ms"
    if requests < config.min_latencies:
        sentence = f"{figures}; a 99th percentile is judged from {config.min_latencies:,} requests."
        return Latency("not_enough_requests", requests, p50, p99, limit, over, sentence)
    state: Literal["ok", "exceeded"] = "exceeded" if p99 > limit else "ok"
    sentence = f"{figures}: {over * 100:.3g} % of requests were slower than it."
    return Latency(state, requests, p50, p99, limit, over, sentence)
