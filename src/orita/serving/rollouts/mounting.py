"""The face of rollouts, wired."""

from __future__ import annotations

from collections.abc import Mapping

from orita.core.home import Home
from orita.serving.http.face import Face
from orita.serving.protocols import FeatureSource, PackageLoader
from orita.serving.resources.known import ModelRegistry
from orita.serving.rollouts.deciding import RolloutDecisions
from orita.serving.rollouts.openapi import describe_rollouts
from orita.serving.rollouts.routes import RolloutRoutes
from orita.serving.service import Service

__all__ = ["mounted_rollouts"]


def mounted_rollouts(
    home: Home,
    system: str,
    service: Service,
    features: FeatureSource,
    *,
    load: PackageLoader,
    registry: ModelRegistry | None = None,
    outcomes: Mapping[str, str] | None = None,
) -> Face:
    """Return the rollouts of the home's tenant at ``/api/v1/rollouts``; they answer where models do.

    Args:
        home: where packages and control state are.
        system: whose rollouts may be changed here.
        service: the server's parts.
        features: must know what a version reads.
        load: opens a package.
        registry: publishes packages; None: those that are in the package store can be tried.
        outcomes: types of the columns of interactions, by which a version can be judged; None: any.
    """
    config, clock = service.config, service.clock
    decisions = RolloutDecisions(home, system, features, load, registry, clock, outcomes)
    routes = service.metrics.api_latency.watched(RolloutRoutes(decisions, config, clock).routes)
    return Face(routes, [describe_rollouts] if config.models_exposed else [])
