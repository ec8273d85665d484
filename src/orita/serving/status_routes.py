"""What the server says of itself: ``/health`` and its probes, ``/metrics``, ``/config``, and ``/status`` for people."""

from __future__ import annotations

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orita.serving.http.error_answers import error_answer, json_answer, request_id_of
from orita.serving.http.refusal import Refused, no_model
from orita.serving.service import Service
from orita.serving.status import ProbeAnswer, config_answer, health_answer, live_answer, ready_answer
from orita.serving.status_page import POLICY, Rollout, Shown, status_page
from orita.serving.telemetry.exposition import exposition, wants_exposition

__all__ = ["StatusRoutes"]

_CONFIG_HIDDEN = "GET /config is off: it tells internals; set serving.expose_config to true to answer it."


class StatusRoutes:
    """Answers what operators and monitors ask; for all workers where the application's state has ``together``.

    Args:
        service: the server's parts.

    Attributes:
        routes: for a Starlette router.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self.routes = [
            Route("/health", self._health),
            Route("/health/live", self._live),
            Route("/health/ready", self._ready),
            Route("/metrics", self._metrics),
            Route("/config", self._config),
            Route("/status", self._status),
        ]

    async def _health(self, request: Request) -> Response:
        answer, together = health_answer(self._service), request.app.state.together
        said = answer if together is None else together.health(answer)
        return json_answer(request, said, 503 if answer.model_version is None else 200)

    async def _live(self, request: Request) -> Response:
        return _probed(request, live_answer(self._service))

    async def _ready(self, request: Request) -> Response:
        return _probed(request, ready_answer(self._service))

    async def _metrics(self, request: Request) -> Response:
        service, together = self._service, request.app.state.together
        accept = request.headers.get("accept", "")
        if not wants_exposition(accept):
            return json_answer(request, service.metrics.answer() if together is None else together.answer())
        await anyio.to_thread.run_sync(service.skew.refresh)
        await anyio.to_thread.run_sync(service.watch.refresh)
        content, content_type = exposition(service, accept) if together is None else together.exposition(accept)
        return Response(content, headers={"content-type": content_type, "x-request-id": request_id_of(request)})

    async def _status(self, request: Request) -> Response:
        service, together = self._service, request.app.state.together
        await anyio.to_thread.run_sync(service.watch.refresh)
        health = health_answer(service)
        shown = Shown(
            system=service.system,
            at=service.clock.now(),
            health=msgspec.to_builtins(health) if together is None else together.health(health),
            figures=msgspec.to_builtins(service.metrics.answer()) if together is None else together.answer(),
            latencies_ms=service.metrics.recent_latencies_ms() if together is None else together.latencies_ms(),
            pending_rows=service.log.pending_rows,
            rollout=_rollout(service),
            report=service.watch.report,
        )
        headers = {
            "x-request-id": request_id_of(request),
            "content-security-policy": POLICY,
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
        }
        return Response(status_page(shown), headers=headers, media_type="text/html")

    async def _config(self, request: Request) -> Response:
        if not self._service.config.expose_config:
            return error_answer(request, Refused(404, "config_hidden", _CONFIG_HIDDEN))
        champion = self._service.follower.champion
        if champion is None:
            return error_answer(request, no_model())
        return json_answer(request, config_answer(champion))


def _rollout(service: Service) -> Rollout | None:
    """Return the rollout that this worker answers by."""
    challengers = service.predictor.challengers
    if challengers is None:
        return None
    found = challengers.router.rollout
    return Rollout(found.plan.strategy, found.shares, found.state, found.why or found.verdict)


def _probed(request: Request, answer: ProbeAnswer) -> Response:
    return json_answer(request, answer, 200 if answer.status == "ok" else 503)
