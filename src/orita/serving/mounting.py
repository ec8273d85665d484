"""The faces that every server has, and those of what it is given: predictions and itself, features, explanations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.routing import Route

from orita.core.home import Home
from orita.serving.documents.openapi import describe
from orita.serving.explain.openapi import describe_explanations
from orita.serving.explain.route import ExplainRequest, ExplainRoutes
from orita.serving.features.openapi import describe_features
from orita.serving.features.routes import FeatureRoutes
from orita.serving.http.face import Face
from orita.serving.predict.route import PredictRoute
from orita.serving.protocols import FeatureService
from orita.serving.service import Service
from orita.serving.status_routes import StatusRoutes

__all__ = ["mounted_explanations", "mounted_features", "mounted_predictions"]


def mounted_predictions(service: Service, predict: PredictRoute) -> Face:
    """Return predictions, and what the server says of itself; its description states the bounds of requests."""
    routes = [Route("/predict", predict, methods=["POST"]), *StatusRoutes(service).routes]
    return Face(routes, [partial(describe, service.config)])


def mounted_features(service: Service, store: FeatureService | None) -> Face:
    """Return the feature store at ``/api/v1/features``; nothing without a *store*."""
    if store is None:
        return Face()
    config = service.config
    features = FeatureRoutes(service.around(store), config, service.clock, service.metrics, service.parts)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await features.close()

    routes = service.metrics.api_latency.watched(features.routes)
    return Face(routes, [partial(describe_features, config)] if config.features_exposed else [], running)


def mounted_explanations(home: Home, system: str, service: Service, explain: ExplainRequest | None) -> Face:
    """Return logged requests and why they were answered so; nothing where nothing can *explain* them."""
    if explain is None:
        return Face()
    routes = ExplainRoutes(home, system, explain, service.config, service.clock).routes
    watched = service.metrics.api_latency.watched(routes)
    return Face(watched, [describe_explanations] if service.config.explanations_exposed else [])
