"""What can be set about serving: the ``serving`` section."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from orita.core.config import Section
from orita.events.prediction_segment import MAX_ROWS
from orita.serving.access.loopback import is_loopback
from orita.serving.bandits.config import BanditsConfig
from orita.serving.batching.config import BatchingConfig
from orita.serving.cache.config import CacheConfig
from orita.serving.features.unknown_ids import UnknownIdsConfig
from orita.serving.feed.config import FeedConfig
from orita.serving.jobs.config import JobsConfig
from orita.serving.otlp.config import TelemetryConfig
from orita.serving.resilience.config import ResilienceConfig
from orita.serving.resilience.faults import FaultRule

__all__ = ["FeatureRoutesConfig", "ModelsConfig", "OutliersConfig", "PredictionLogConfig", "ServingConfig"]


_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    if low > high:
        raise ValueError(f"{list(bounds)} is no range: give the least weight first, such as [{high:g}, {low:g}]")
    return bounds


def _host_name(name: str) -> str:
    if not _HOST_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a host: give one without scheme and port, such as shop.example")
    return name.lower()


def _path(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"{path!r} is no path: begin it with a slash, such as /predict")
    return path


WeightBounds = Annotated[tuple[FiniteFloat, FiniteFloat], AfterValidator(_ordered)]
"""The least and the greatest weight of a head in a request, both allowed."""


class PredictionLogConfig(Section):
    """How answers are logged.

    Attributes:
        flush_ms: milliseconds between two group commits; a killed server loses what came since the last.
        max_pending_rows: rows that may wait for their commit.
        max_pending_seconds: how long one may wait. Disks that others use too have pauses of a second; past two the disk
            is stuck, and a kill loses what waits.
        when_full: what happens to a request past one of these, and while the log cannot be written: ``shed`` answers it
            with 503, ``drop`` answers it but counts its rows instead of logging them.
        segment_mib: a segment becomes Parquet past this size in MiB.
        segment_seconds: or past this age.
        retention_days: whole UTC days that are kept beside the present one; null keeps all.
    """

    flush_ms: Annotated[int, Field(ge=1, le=100)] = 50
    max_pending_rows: Annotated[int, Field(ge=MAX_ROWS)] = 200_000
    max_pending_seconds: Annotated[float, Field(ge=0.2, le=60)] = 2.0
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


class ModelsConfig(Section):
    """Models that are asked for by version, beside the one that is deployed.

    Attributes:
        memory_mib: memory that they may take together, in MiB; the one asked for longest ago goes first. 0: none is
            loaded.
        retry_seconds: how long one that did not load is not tried again.
    """

    memory_mib: Annotated[float, Field(ge=0, le=1024 * 1024)] = 256
    retry_seconds: Annotated[float, Field(ge=0, le=3600)] = 10


class OutliersConfig(Section):
    """When a request counts as unlike the training rows.

    Attributes:
        share: from this share of its items on, unlike the training rows by their statistics.
        least_confidence: or where the model is less confident than this of every item. Of a click probability p the
            confidence is |2 p − 1|: 0 where it is a toss-up, 1 where it is sure.
    """

    share: Annotated[float, Field(gt=0, le=1)] = 0.05
    least_confidence: Annotated[float, Field(ge=0, le=1)] = 0.1


class ServingConfig(Section):
    """How a server answers.

    Attributes:
        host: address to listen on.
        hosts: names by which callers may ask (the header ``Host``), and whose web pages may. Names without a dot and
            addresses of this machine are allowed besides. None: any name, where *host* is no loopback address.
        public_paths: paths that web pages of anybody may ask, by any name.
        port: port to listen on; 0 takes a free one.
        max_items: most items of one request.
        max_body_bytes: longest request body.
        max_unfinished_bytes: what the bodies that are still coming may have together; where they have more, the one
            that has been coming for the longest time is turned away.
        max_header_bytes: longest request line and headers, together.
        max_connections: connections open at once; the next is told to come back.
        request_seconds: how long a request may take to come whole, and a caller to read on what fills its connection.
        devices: what ``context.device`` may say.
        reload_seconds: seconds between two looks at the deployment.
        expose_config: whether ``GET /config`` answers; it tells internals, so keep it off a public listener.
        expose_features: whether ``/api/v1/features`` answers, which reads features and takes events from anybody who
            asks; null: only where *host* is a loopback address.
        expose_inference: whether ``/v2``, the Open Inference Protocol, answers, which tells the names of features;
            null: only where *host* is a loopback address.
        inference_grpc_port: port of the same protocol over gRPC, where ``/v2`` answers; 0 takes a free one, null: none.
        expose_explanations: whether ``/api/v1/predictions/{request_id}/explanation`` answers, which tells what is known
            of a user; null: only where *host* is a loopback address.
        compress_bytes: answers of this length and more are compressed for callers that can read them so; null: none.
        objective_bounds: which heads of a model a request may weigh, and between which weights; none: no head.
        outliers: when a request counts as unlike what the model was trained on.
        unknown_ids: what becomes of users and items of which the features know nothing.
        expose_models: whether ``/api/v1/models`` answers, which tells of models and their figures; null: only where
            *host* is a loopback address. Models are changed only where it is one.
        expose_graphql: whether ``/graphql`` answers, likewise, with the part ``graphql``; null: only where *host* is a
            loopback address and the part is installed.
        features: how ``/api/v1/features`` answers.
        jobs: how predictions are answered later, at ``/api/v1/jobs``.
        feed: how ``POST /api/v1/feed`` answers.
        drain_seconds: how long a server that was asked to stop goes on answering while ``/health/ready`` says no, so
            that whoever sends requests learns of it first; asked again, it stops at once.
        shutdown_seconds: how long an orderly stop waits for requests under way after that.
        workers: processes that answer; with more than one, a supervisor starts those again that die.
        worker_start_seconds: how long a worker may take to its first sign of life.
        worker_hang_seconds: a worker whose event loop gives no sign of life for so long is killed and started again.
        models: which models are kept in memory beside the deployed one.
        log: the prediction log.
        resilience: deadlines, admission, breakers, levels.
        faults: what is to go wrong in a drill; only where ORITA_ALLOW_FAULTS is 1.
        cache: whether and how predictions are kept.
        batching: how requests are answered together.
        bandits: how ``/api/v1/bandits`` answers.
        telemetry: where traces, metrics and logs are sent by OTLP.
    """

    host: str = "127.0.0.1"
    hosts: tuple[Annotated[str, AfterValidator(_host_name)], ...] = ()
    public_paths: tuple[Annotated[str, AfterValidator(_path)], ...] = ()
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    max_items: Annotated[int, Field(ge=1, le=MAX_ROWS)] = 1000
    max_body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024
    max_unfinished_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024 * 1024)] = 64 * 1024 * 1024
    max_header_bytes: Annotated[int, Field(ge=1024, le=1024 * 1024)] = 32 * 1024
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    request_seconds: Annotated[float, Field(gt=0, le=3600)] = 30
    devices: Annotated[tuple[str, ...], Field(min_length=1)] = ("mobile", "desktop", "tablet")
    reload_seconds: Annotated[float, Field(gt=0, le=1)] = 0.5
    expose_config: bool = False
    expose_features: bool | None = None
    expose_inference: bool | None = None
    expose_models: bool | None = None
    expose_graphql: bool | None = None
    inference_grpc_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    expose_explanations: bool | None = None
    compress_bytes: Annotated[int, Field(ge=0)] | None = 1024
    objective_bounds: dict[str, WeightBounds] = {}
    outliers: OutliersConfig = OutliersConfig()
    unknown_ids: UnknownIdsConfig = UnknownIdsConfig()
    features: FeatureRoutesConfig = FeatureRoutesConfig()
    jobs: JobsConfig = JobsConfig()
    feed: FeedConfig = FeedConfig()
    drain_seconds: Annotated[float, Field(ge=0, le=600)] = 0
    shutdown_seconds: Annotated[int, Field(ge=0)] = 10
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    worker_start_seconds: Annotated[float, Field(gt=0, le=3600)] = 60
    worker_hang_seconds: Annotated[float, Field(ge=1, le=3600)] = 10
    models: ModelsConfig = ModelsConfig()
    log: PredictionLogConfig = PredictionLogConfig()
    resilience: ResilienceConfig = ResilienceConfig()
    faults: tuple[FaultRule, ...] = ()
    cache: CacheConfig = CacheConfig()
    batching: BatchingConfig = BatchingConfig()
    bandits: BanditsConfig = BanditsConfig()
    telemetry: TelemetryConfig = TelemetryConfig()

    @model_validator(mode="after")
    def _one_body_has_room(self) -> ServingConfig:
        longest = max(self.max_body_bytes, self.features.max_body_bytes, self.jobs.max_body_bytes)
        if self.max_unfinished_bytes < longest:
            raise ValueError(
                f"max_unfinished_bytes is {self.max_unfinished_bytes}, allowed are values from {longest} on, the "
                "longest body"
            )
        return self

    @property
    def features_exposed(self) -> bool:
        """Whether ``/api/v1/features`` answers."""
        return is_loopback(self.host) if self.expose_features is None else self.expose_features

    @property
    def inference_exposed(self) -> bool:
        """Whether ``/v2`` answers."""
        return is_loopback(self.host) if self.expose_inference is None else self.expose_inference

    @property
    def models_exposed(self) -> bool:
        """Whether ``/api/v1/models`` answers."""
        return is_loopback(self.host) if self.expose_models is None else self.expose_models

    @property
    def graphql_exposed(self) -> bool:
        """Whether ``/graphql`` answers, where its part is installed."""
        return is_loopback(self.host) if self.expose_graphql is None else self.expose_graphql

    @property
    def explanations_exposed(self) -> bool:
        """Whether ``/api/v1/predictions/{request_id}/explanation`` answers."""
        return is_loopback(self.host) if self.expose_explanations is None else self.expose_explanations
