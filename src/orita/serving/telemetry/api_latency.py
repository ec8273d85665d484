"""How the server answers beside ``POST /predict``: one histogram by route and class of status.

    latency = ApiLatency(clock)
    app.router.routes.extend(latency.watched(feed.routes))

A route is told by its method and its pattern (``GET /api/v1/jobs/{job}``), so there are as many of them as the server
has routes, whatever callers ask for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orita.core.clock import Clock
from orita.serving.telemetry.histogram import Histogram

__all__ = ["ApiLatency"]

_BUCKETS = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
_FAILED = 500


class ApiLatency:
    """Times the answers of routes.

    Args:
        clock: the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._monotonic = clock.monotonic
        self._answers: dict[tuple[str, str], Histogram] = {}

    def watched(self, routes: Iterable[Route]) -> list[Route]:
        """Return *routes*, whose answers are timed from now on."""
        found = list(routes)
        for route in found:
            route.app = self._timed(route.path, route.app)
        return found

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer.

        Args:
            route: method and pattern.
            status: the HTTP status; its class is what is told (``2xx``).
            seconds: from the request's head to the end of the answer.
        """
        key = (route, f"{status // 100}xx")
        histogram = self._answers.get(key)
        if histogram is None:
            histogram = self._answers[key] = Histogram(_BUCKETS)
        histogram.add(seconds)

    def metrics(self) -> Iterator[Metric]:
        """Yield what is counted."""
        family = HistogramMetricFamily(
            "api_latency",
            "Seconds from request to answer by route, beside POST /predict.",
            labels=["route", "status"],
        )
        for (route, status), histogram in sorted(self._answers.items()):
            family.add_metric([route, status], histogram.buckets(), histogram.sum)
        yield family

    def _timed(self, path: str, answer: ASGIApp) -> ASGIApp:
        async def timed(scope: Scope, receive: Receive, send: Send) -> None:
            started, status = self._monotonic(), _FAILED

            async def watch(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await answer(scope, receive, watch)
            finally:
                self.answered(f"{scope['method']} {path}", status, self._monotonic() - started)

        return timed
