"""Batches of requests of one server."""

from __future__ import annotations

from functools import partial

from starlette.routing import Route

from orita.serving.batching.openapi import describe_batches
from orita.serving.batching.route import PATH, BatchRoute
from orita.serving.http.face import Face
from orita.serving.service import Service

__all__ = ["mounted_batches"]


def mounted_batches(service: Service) -> Face:
    """Return ``POST /predict/batch``; its requests are counted as those of ``POST /predict``."""
    routes = [Route(PATH, BatchRoute(service).answer, methods=["POST"])]
    return Face(service.metrics.api_latency.watched(routes), [partial(describe_batches, service.config)])
