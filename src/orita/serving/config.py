"""What can be set about serving: the ``serving`` section."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import Field

from orita.core.config import Section
from orita.events.prediction_segment import MAX_ROWS

__all__ = ["FeatureRoutesConfig", "PredictionLogConfig", "ServingConfig"]


class PredictionLogConfig(Section):
    """How answers are logged.

    Attributes:
        flush_ms: milliseconds between two group commits; a killed server loses what came since the last.
        max_pending_rows: rows that may wait for their commit.
        when_full: what happens to a request past that: ``shed`` answers it with 503, ``drop`` answers it but
            counts its rows instead of logging them.
        segment_mib: a segment becomes Parquet past this size in MiB.
        segment_seconds: or past this age.
        retention_days: whole UTC days that are kept beside the present one; null keeps all.
    """

    flush_ms: Annotated[int, Field(ge=1, le=100)] = 50
    max_pending_rows: Annotated[int, Field(ge=MAX_ROWS)] = 200_000
    when_full: Literal["shed", "drop"] = "shed"
    segment_mib: Annotated[float, Field(gt=0, le=1024)] = 64
    segment_seconds: Annotated[float, Field(gt=0)] = 900
    retention_days: Annotated[int, Field(ge=1, le=36_500)] | None = None


class FeatureRoutesConfig(Section):
    """How the feature store answers over HTTP.

    Attributes:
        max_rows: most rows of one offline request, and most events of one push.
        max_body_bytes: longest body of one; while a long one is decoded, no prediction is answered.
        at_once: offline requests that are computed at the same time; each takes a processor and memory.
        waiting: those that wait in line for them; the next is refused with 503.
        jobs: ended jobs whose answers are kept in memory.
        job_seconds: for so long.
    """

    max_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    max_body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 4 * 1024 * 1024
    at_once: Annotated[int, Field(ge=1, le=64)] = 1
    waiting: Annotated[int, Field(ge=0, le=1000)] = 8
    jobs: Annotated[int, Field(ge=1, le=1000)] = 32
    job_seconds: Annotated[float, Field(gt=0)] = 600


class ServingConfig(Section):
    """How a server answers.

    Attributes:
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        max_items: most items of one request.
        max_body_bytes: longest request body.
        max_header_bytes: longest request line and headers, together.
        max_connections: connections open at once; the next is told to come back.
        request_seconds: how long a request may take to come whole.
        devices: what ``context.device`` may say.
        reload_seconds: seconds between two looks at the deployment.
        expose_config: whether ``GET /config`` answers; it tells internals, so keep it off a public listener.
        expose_features: whether ``/api/v1/features`` answers, which reads features and takes events from anybody who
            asks; null: only where *host* is a loopback address.
        expose_inference: whether ``/v2``, the Open Inference Protocol, answers, which tells the names of features;
            null: only where *host* is a loopback address.
        features: how ``/api/v1/features`` answers.
        drain_seconds: how long a server that was asked to stop goes on answering while ``/health/ready`` says no, so
            that whoever sends requests learns of it first; asked again, it stops at once.
        shutdown_seconds: how long an orderly stop waits for requests under way after that.
        log: the prediction log.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    max_items: Annotated[int, Field(ge=1, le=MAX_ROWS)] = 1000
    max_body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024
    max_header_bytes: Annotated[int, Field(ge=1024, le=1024 * 1024)] = 32 * 1024
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    request_seconds: Annotated[float, Field(gt=0, le=3600)] = 30
    devices: tuple[str, ...] = ("mobile", "desktop", "tablet")
    reload_seconds: Annotated[float, Field(gt=0, le=1)] = 0.5
    expose_config: bool = False
    expose_features: bool | None = None
    expose_inference: bool | None = None
    features: FeatureRoutesConfig = FeatureRoutesConfig()
    drain_seconds: Annotated[float, Field(ge=0, le=600)] = 0
    shutdown_seconds: Annotated[int, Field(ge=0)] = 10
    log: PredictionLogConfig = PredictionLogConfig()

    @property
    def features_exposed(self) -> bool:
        """Whether ``/api/v1/features`` answers."""
        return _is_loopback(self.host) if self.expose_features is None else self.expose_features

    @property
    def inference_exposed(self) -> bool:
        """Whether ``/v2`` answers."""
        return _is_loopback(self.host) if self.expose_inference is None else self.expose_inference


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
