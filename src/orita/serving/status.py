"""What the server says about itself: ``GET /health``, ``/health/live``, ``/health/ready`` and ``GET /config``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from orita.serving.predict.predictor import LoadedModel
from orita.serving.resilience.ladder import Level
from orita.serving.service import Service

__all__ = [
    "ConfigAnswer",
    "FeatureConfig",
    "HealthAnswer",
    "ProbeAnswer",
    "config_answer",
    "health_answer",
    "live_answer",
    "ready_answer",
]


class HealthAnswer(msgspec.Struct, frozen=True):
    """The answer of ``GET /health``.

    Attributes:
        status: ``ok``; ``degraded`` if another version answers than the deployed, features were not read since the
            start, the latest answer was below level 1, answers cannot be logged, or the feed has no items; ``no_model``
            (with 503).
        model_version: which version answers, null without one.
        model_loaded_at: since when.
        uptime_seconds: since the server started.
        last_prediction: when the last answer was given, null before the first.
        detail: why it is not ``ok``, null where the level alone tells it.
        level: of the latest answer, 1 being the model's; null before the first.
        dependencies: the state of each breaker: ``CLOSED``, ``OPEN`` or ``HALF_OPEN``.
    """

    status: str
    model_version: str | None
    model_loaded_at: datetime | None
    uptime_seconds: float
    last_prediction: datetime | None
    detail: str | None
    level: int | None
    dependencies: dict[str, str]


class ProbeAnswer(msgspec.Struct, frozen=True):
    """The answer of ``GET /health/live`` (should this process go on?) and ``/health/ready`` (should it get requests?).

    Attributes:
        status: ``ok``, or with 503 why not: ``stopped_working``; ``stopping``, ``no_model``, ``no_features``,
            ``log_full`` or ``starting``.
        detail: a sentence, null where all is well.
    """

    status: str
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


_OK = ProbeAnswer("ok", None)


def health_answer(service: Service) -> HealthAnswer:
    """Return how the server is."""
    champion, failure = service.follower.champion, service.follower.failure
    level, log = _level(service), service.log.trouble
    told = (failure, service.follower.unread, log)
    troubles = [sentence for sentence in told if sentence is not None] + service.background.lacking
    well = not troubles and (level is None or level is Level.FULL)
    status = "no_model" if champion is None else "ok" if well else "degraded"
    return HealthAnswer(
        status=status,
        model_version=champion.package.version if champion else None,
        model_loaded_at=champion.loaded_at if champion else None,
        uptime_seconds=round(service.metrics.uptime_seconds, 3),
        last_prediction=service.metrics.last_prediction,
        detail=" ".join(troubles) or None,
        level=None if level is None else level.value,
        dependencies={guard.name: guard.state.value for guard in service.guards},
    )


def live_answer(service: Service) -> ProbeAnswer:
    """Return whether this process can go on; where it cannot, only a new one helps."""
    ended = service.background.ended
    if ended:
        return ProbeAnswer("stopped_working", f"{' and '.join(ended)} ended: start this process again.")
    return _OK


def ready_answer(service: Service) -> ProbeAnswer:
    """Return whether this process should get requests now."""
    if service.stopping.is_set():
        return ProbeAnswer("stopping", "the server finishes the requests under way and stops.")
    if service.follower.champion is None:
        return ProbeAnswer("no_model", service.follower.failure or "no model is deployed and loaded yet.")
    if service.follower.unread is not None:
        return ProbeAnswer("no_features", service.follower.unread)
    if service.log.trouble is not None and not service.log.drops:
        return ProbeAnswer("log_full", service.log.trouble)
    if awaited := service.background.awaited:
        return ProbeAnswer("starting", " ".join(awaited))
    return _OK


def config_answer(champion: LoadedModel) -> ConfigAnswer:
    """Return what the champion is made of."""
    package = champion.package
    described = {"type": package.metadata.model_type, "version": package.version, **_model(package.extra)}
    return ConfigAnswer(described, FeatureConfig(package.schema.version, package.schema.names))


def _level(service: Service) -> Level | None:
    """Return the level of the latest answer."""
    ladder = service.predictor.ladder
    return None if ladder is None or not any(ladder.answers.values()) else ladder.level


def _model(extra: Any) -> dict[str, Any]:
    model = extra.get("model", {})
    return dict(model) if isinstance(model, dict) else {}
