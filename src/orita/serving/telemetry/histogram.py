"""Counts of values by size, as Prometheus' histograms have them, with an example of each bucket."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from prometheus_client.samples import Exemplar

__all__ = ["Histogram"]


class Histogram:
    """Counts values; by one thread, so without a lock.

    Args:
        bounds: upper bounds of the buckets, rising; above the last there is one more bucket.

    Attributes:
        sum: of all values.
    """

    __slots__ = ("_bounds", "_counts", "_exemplars", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._exemplars: dict[int, tuple[str, float, float]] = {}
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count *value*."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def exemplify(self, value: float, trace_id: str, at: float) -> None:
        """Let *value*, which was counted, stand for its bucket: which trace it is of, and when that was (Unix time)."""
        self._exemplars[bisect_left(self._bounds, value)] = trace_id, value, at

    def buckets(self) -> list[tuple[str, float] | tuple[str, float, Exemplar]]:
        """Return how many values are at most as large as each bound, and as no bound; each with its example."""
        total = 0
        found: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
        for at, (bound, count) in enumerate(zip([*map(str, self._bounds), "+Inf"], self._counts, strict=True)):
            total += count
            known = self._exemplars.get(at)
            if known is None:
                found.append((bound, total))
            else:
                trace_id, value, when = known
                found.append((bound, total, Exemplar({"trace_id": trace_id}, value, when)))
        return found
