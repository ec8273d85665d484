"""The faces of models, wired: resources under ``/api/v1/models``, and ``/graphql``."""

from __future__ import annotations

from orita.core.home import Home
from orita.serving.access.callers import Callers
from orita.serving.features.unknown_ids import by_policy
from orita.serving.graphql.asker import GraphqlParts
from orita.serving.graphql.openapi import describe_graphql
from orita.serving.graphql.route import GraphqlRoute
from orita.serving.http.face import Face
from orita.serving.inference_protocol.models import ModelSource
from orita.serving.predict.requests import RequestDecoder
from orita.serving.protocols import FeatureSource
from orita.serving.resources.catalogue import ModelCatalogue
from orita.serving.resources.known import ModelRegistry
from orita.serving.resources.models import Models
from orita.serving.resources.openapi import describe_models
from orita.serving.resources.predicting import ModelPredictor
from orita.serving.resources.routes import ModelRoutes
from orita.serving.service import Service

__all__ = ["mounted_models"]


def mounted_models(
    home: Home,
    system: str,
    service: Service,
    features: FeatureSource,
    source: ModelSource,
    callers: Callers,
    *,
    registry: ModelRegistry | None = None,
) -> Face:
    """Return the models of *service*: resources and GraphQL.

    Args:
        home: where packages and control state are.
        system: whose models.
        service: the server's parts.
        features: where the features of a request come from.
        source: has models in memory, or loads them.
        callers: knows who asks; a document of GraphQL asks for permissions of its own.
        registry: is told of deployments; None: there are none.

    Raises:
        MissingExtra: the configuration asks for GraphQL, and it is not installed.
    """
    config, clock = service.config, service.clock
    catalogue = ModelCatalogue(home, system, clock, registry)
    models = Models(
        catalogue, ModelPredictor(service, system, by_policy(features, config.unknown_ids), source), registry, clock
    )
    parts = GraphqlParts(models, callers, RequestDecoder(config), service.metrics)
    routes, graphql = ModelRoutes(models, config, clock, service.metrics), GraphqlRoute(parts, config, clock)
    described = [describe_models] if config.models_exposed else []
    described += [describe_graphql] if graphql.on else []
    return Face(service.metrics.api_latency.watched([*routes.routes, *graphql.routes]), described)
