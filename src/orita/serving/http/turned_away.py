"""Requests that reach no route: refused by the gate, or by the connection they came on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, Metric

__all__ = ["TurnedAway"]


class TurnedAway:
    """Counts requests that were refused before they reached a route.

    Attributes:
        counts: by the code of the refusal.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def count(self, code: str) -> None:
        """Count a request that was refused with *code*."""
        self.counts[code] += 1

    def metrics(self) -> Iterator[Metric]:
        """Yield what is counted."""
        family = CounterMetricFamily(
            "turned_away_requests", "Requests refused before they reached a route, by code.", labels=["code"]
        )
        for code, count in sorted(self.counts.items()):
            family.add_metric([code], count)
        yield family
