"""The faces of models, wired: resources under ``/api/v1/models``, and ``/graphql``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.routing import Route

from orita.core.home import Home
from orita.serving.callers import Callers, LocalCallers
from orita.serving.graphql.asker import GraphqlParts
from orita.serving.graphql.openapi import describe_graphql
from orita.serving.graphql.route import GraphqlRoute
from orita.serving.inference_protocol.models import ModelSource
from orita.serving.protocols import FeatureSource
from orita.serving.requests import RequestDecoder
from orita.serving.resources.catalogue import ModelCatalogue
from orita.serving.resources.known import ModelRegistry
from orita.serving.resources.models import Models
from orita.serving.resources.openapi import describe_models
from orita.serving.resources.predicting import ModelPredictor
from orita.serving.resources.routes import ModelRoutes
from orita.serving.service import Service

__all__ = ["MountedModels", "mounted_models"]


@dataclass(frozen=True, slots=True)
class MountedModels:
    """The models of a server.

    Attributes:
        routes: for its router.
        described: ``paths`` and ``components`` of the OpenAPI document, of the faces that are on.
    """

    routes: Sequence[Route]
    described: Sequence[dict[str, Any]]


def mounted_models(
    home: Home,
    system: str,
    service: Service,
    features: FeatureSource,
    source: ModelSource,
    *,
    registry: ModelRegistry | None = None,
    callers: Callers | None = None,
) -> MountedModels:
    """Return the faces of models that *service* is to have.

    Args:
        home: where packages and control state are.
        system: whose models.
        service: the server's parts.
        features: where the features of a request come from.
        source: has models in memory, or loads them.
        registry: is told of deployments; None: there are none.
        callers: knows who asks; None: `LocalCallers`.

    Raises:
        MissingExtra: the configuration asks for GraphQL, and it is not installed.
    """
    config, clock = service.config, service.clock
    who = callers or LocalCallers(config.host)
    catalogue = ModelCatalogue(home, system, clock, registry)
    models = Models(catalogue, ModelPredictor(service, system, features, source), registry, clock)
    parts = GraphqlParts(models, who, RequestDecoder(config), service.metrics)
    routes, graphql = ModelRoutes(models, who, config, clock, service.metrics), GraphqlRoute(parts, config, clock)
    described = [describe_models()] if config.models_exposed else []
    described += [describe_graphql()] if graphql.on else []
    return MountedModels([*routes.routes, *graphql.routes], described)
