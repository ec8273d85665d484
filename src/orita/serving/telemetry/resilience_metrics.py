"""What keeps the server up, as Prometheus reads it: levels, the door, breakers, the cache; few labels, all known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from orita.serving.cache.predictions import PredictionCache
from orita.serving.resilience.admission import Admission
from orita.serving.resilience.breaker import BreakerState
from orita.serving.resilience.contracts import Priority
from orita.serving.resilience.guard import GuardState
from orita.serving.service import Service

__all__ = ["resilience_metrics"]


def resilience_metrics(service: Service) -> Iterator[Metric]:
    """Yield what is counted."""
    yield from _levels(service)
    yield from _door(service.parts.turnstile.admission)
    yield from _guards(service.guards)
    if service.cache is not None:
        yield from _cache(service.cache)


def _levels(service: Service) -> Iterator[Metric]:
    ladder = service.predictor.ladder
    if ladder is None:
        return
    answers = CounterMetricFamily("answers", "Answers by level: 1 is the model's.", labels=["level"])
    for level, count in ladder.answers.items():
        answers.add_metric([str(level.value)], count)
    yield answers
    degraded = CounterMetricFamily("degraded_answers", "Answers below level 1, by why.", labels=["reason"])
    for reason, count in sorted(ladder.reasons.items()):
        degraded.add_metric([reason], count)
    yield degraded
    yield GaugeMetricFamily("answer_level", "Level of the latest answer.", value=ladder.level.value)


def _door(admission: Admission) -> Iterator[Metric]:
    shed = CounterMetricFamily("requests_shed", "Requests without room, by priority.", labels=["priority"])
    for priority in Priority:
        shed.add_metric([priority.name.lower()], admission.shed[priority])
    yield shed
    yield CounterMetricFamily("requests_admitted", "Requests that had their turn.", value=admission.admitted)
    yield CounterMetricFamily(
        "requests_expired", "Requests whose deadline passed before their turn.", value=admission.expired
    )
    yield CounterMetricFamily(
        "requests_abandoned", "Requests whose caller hung up before their turn.", value=admission.abandoned
    )
    yield GaugeMetricFamily("requests_inside", "Requests that wait or are being answered.", value=admission.inside)
    yield GaugeMetricFamily("requests_limit", "Requests that may be inside.", value=admission.limit)


def _guards(states: Sequence[GuardState]) -> Iterator[Metric]:
    now = GaugeMetricFamily("breaker_state", "1 at the state of each breaker.", labels=["dependency", "state"])
    opened = CounterMetricFamily("breaker_opened", "Times that a breaker opened.", labels=["dependency"])
    refused = CounterMetricFamily("breaker_refused", "Calls that were not made.", labels=["dependency"])
    for guard in states:
        for state in BreakerState:
            now.add_metric([guard.name, state.value], float(guard.state is state))
        opened.add_metric([guard.name], guard.opened)
        refused.add_metric([guard.name], guard.refused)
    yield from (now, opened, refused)


def _cache(cache: PredictionCache) -> Iterator[Metric]:
    counts, size = cache.counts, cache.size
    looks = CounterMetricFamily("cache_requests", "Looks into the cache of predictions.", labels=["outcome"])
    hits_and_misses = {"hit": counts.hits, "miss": counts.misses, "bypassed": counts.bypassed}
    for outcome, count in hits_and_misses.items():
        looks.add_metric([outcome], count)
    yield looks
    yield CounterMetricFamily("cache_early", "Predictions computed anew before they expired.", value=counts.early)
    yield CounterMetricFamily("cache_joined", "Misses that waited for the same computation.", value=counts.joined)
    yield CounterMetricFamily("cache_invalidations", "Tags that were invalidated.", value=counts.invalidations)
    yield GaugeMetricFamily("cache_hit_rate", "Share of looks that found a prediction.", value=counts.hit_rate)
    if size.bytes is not None:
        yield GaugeMetricFamily("cache_bytes", "Memory of what is kept.", value=size.bytes)
