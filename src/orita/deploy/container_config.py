"""What can be set about containers: images, resources, how many servers, names in a cluster."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from orita.core.config import Section
from orita.core.version import VERSION

__all__ = ["AutoscalingConfig", "ImagesConfig", "KubernetesConfig", "ResourcesConfig"]

_IMAGE = re.compile(r"[a-z0-9][a-z0-9._/:-]*(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PROCESSORS = re.compile(r"[1-9][0-9]*m?|0\.[0-9]{1,3}|[1-9][0-9]*\.[0-9]{1,3}")
_MEMORY = re.compile(r"[1-9][0-9]*(Ki|Mi|Gi)")


def _image(text: str) -> str:
    if not _IMAGE.fullmatch(text):
        raise ValueError("expected the name of an image, such as registry.example.com/orita:1.0 or redis:7.4-alpine")
    return text


def _label(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError("expected 1 to 63 lower-case letters, digits and '-', as names in Kubernetes are")
    return text


def _processors(text: str) -> str:
    if not _PROCESSORS.fullmatch(text):
        raise ValueError("expected processors as Kubernetes writes them, such as '2', '1.5' or 500m, a half")
    return text


def _memory(text: str) -> str:
    if not _MEMORY.fullmatch(text):
        raise ValueError("expected memory as Kubernetes writes it, such as 512Mi or 2Gi")
    return text


_Image = Annotated[str, AfterValidator(_image)]
_Label = Annotated[str, AfterValidator(_label)]
_Processors = Annotated[str, Field(coerce_numbers_to_str=True), AfterValidator(_processors)]
_Memory = Annotated[str, Field(coerce_numbers_to_str=True), AfterValidator(_memory)]


class ImagesConfig(Section):
    """Names of images; one with ``@sha256:…`` is pinned to its bytes.

    Attributes:
        orita: what the Dockerfile builds, and the cluster runs.
        base: what it builds upon, with Python 3.11 to 3.13.
        nginx: one that runs without root.
        redis: Redis or Valkey.
        postgres: PostgreSQL.
        prometheus: Prometheus.
        alertmanager: Alertmanager.
        grafana: Grafana.
    """

    orita: _Image = f"orita:{VERSION}"
    base: _Image = "python:3.11-slim-bookworm"
    nginx: _Image = "nginxinc/nginx-unprivileged:1.28-alpine"
    redis: _Image = "redis:7.4-alpine"
    postgres: _Image = "postgres:17-alpine"
    prometheus: _Image = "prom/prometheus:v3.5.0"
    alertmanager: _Image = "prom/alertmanager:v0.28.1"
    grafana: _Image = "grafana/grafana:12.1.0"


class ResourcesConfig(Section):
    """What a server's container gets: it is scheduled by *cpu* and *memory*, and killed over *memory_limit*.

    Attributes:
        cpu: processors that it is sure of; autoscaling measures use against this.
        cpu_limit: more it does not get; null: what is idle, so that a start or a swap is quick.
        memory: memory that it is sure of.
        memory_limit: memory over which it is ended.
    """

    cpu: _Processors = "1"
    cpu_limit: _Processors | None = None
    memory: _Memory = "512Mi"
    memory_limit: _Memory = "1Gi"


class AutoscalingConfig(Section):
    """How many servers a cluster runs.

    Attributes:
        min_instances: never fewer.
        max_instances: never more.
        high_cpu: use of *resources.cpu* in percent over which servers are added.
        low_cpu: use under which they are taken away.
        step_up: servers that are added at once.
        step_down: servers that are taken away at once.
        period_seconds: between two steps.
        calm_seconds: how long use must have been low before the first is taken away.
    """

    min_instances: Annotated[int, Field(ge=1, le=1000)] = 2
    max_instances: Annotated[int, Field(ge=1, le=1000)] = 10
    high_cpu: Annotated[int, Field(ge=1, le=100)] = 70
    low_cpu: Annotated[int, Field(ge=1, le=99)] = 30
    step_up: Annotated[int, Field(ge=1, le=100)] = 2
    step_down: Annotated[int, Field(ge=1, le=100)] = 1
    period_seconds: Annotated[int, Field(ge=1, le=1800)] = 60
    calm_seconds: Annotated[int, Field(ge=0, le=3600)] = 300

    @model_validator(mode="after")
    def _are_in_order(self) -> Self:
        if self.min_instances > self.max_instances:
            raise ValueError(f"min_instances is {self.min_instances}, more than max_instances, {self.max_instances}")
        if self.low_cpu >= self.high_cpu:
            raise ValueError(f"low_cpu is {self.low_cpu}, and must be less than high_cpu, {self.high_cpu}")
        return self


class KubernetesConfig(Section):
    """Names in the cluster.

    Attributes:
        namespace: where everything is put.
        name: of deployment, service and the rest.
        home_claim: the persistent volume claim with the home that pipelines write, ReadWriteMany.
        caller_namespace: where those who may ask are: the ingress controller.
        monitoring_namespace: where Prometheus is.
        secret: a secret whose entries become environment variables, such as the password of Redis; null: none.
        cursor_secret: a secret with the entry ``feed-cursor.key``, 32 random bytes or more, by which all servers sign
            the cursors of feeds; it is needed where the feed is on and ``serving.feed.cursor.key_file`` names no file.
    """

    namespace: _Label = "orita"
    name: _Label = "orita-server"
    home_claim: _Label = "orita-home"
    caller_namespace: _Label = "ingress-nginx"
    monitoring_namespace: _Label = "monitoring"
    secret: _Label | None = None
    cursor_secret: _Label = "orita-feed-cursor"  # noqa: S105 - a name in the cluster, no secret
