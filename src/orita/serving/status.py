"""What the server says about itself: ``GET /health`` and ``GET /config``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from orita.serving.predictor import Champion
from orita.serving.service import Service

__all__ = ["ConfigAnswer", "FeatureConfig", "HealthAnswer", "config_answer", "health_answer"]


class HealthAnswer(msgspec.Struct, frozen=True):
    """The answer of ``GET /health``.

    Attributes:
        status: ``ok``; ``degraded`` if another version answers than the deployed; ``no_model`` (with 503).
        model_version: which version answers, null without one.
        model_loaded_at: since when.
        uptime_seconds: since the server started.
        last_prediction: when the last answer was given, null before the first.
        detail: why the deployed version does not answer, null if it does.
    """

    status: str
    model_version: str | None
    model_loaded_at: datetime | None
    uptime_seconds: float
    last_prediction: datetime | None
    detail: str | None


class FeatureConfig(msgspec.Struct, frozen=True):
    """Which features the model reads, in order, and the version of their schema."""

    version: str
    features: tuple[str, ...]


class ConfigAnswer(msgspec.Struct, frozen=True):
    """The answer of ``GET /config``.

    Attributes:
        model_config: ``type``, ``version`` and what the package's writer kept beside its card.
        feature_config: the schema.
    """

    model_config: dict[str, Any]
    feature_config: FeatureConfig


def health_answer(service: Service) -> HealthAnswer:
    """Return how the server is."""
    champion, failure = service.follower.champion, service.follower.failure
    status = "no_model" if champion is None else "ok" if failure is None else "degraded"
    return HealthAnswer(
        status=status,
        model_version=champion.package.version if champion else None,
        model_loaded_at=champion.loaded_at if champion else None,
        uptime_seconds=round(service.metrics.uptime_seconds, 3),
        last_prediction=service.metrics.last_prediction,
        detail=failure,
    )


def config_answer(champion: Champion) -> ConfigAnswer:
    """Return what the champion is made of."""
    package = champion.package
    described = {"type": package.metadata.model_type, "version": package.version, **_model(package.extra)}
    return ConfigAnswer(described, FeatureConfig(package.schema.version, package.schema.names))


def _model(extra: Any) -> dict[str, Any]:
    model = extra.get("model", {})
    return dict(model) if isinstance(model, dict) else {}
