"""Where telemetry is sent: the section ``serving.telemetry``."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from orita.core.config import Section

__all__ = ["TelemetryConfig"]


def _address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{text!r} is no address of a collector: give one such as http://localhost:4318")
    return text.rstrip("/")


class TelemetryConfig(Section):
    """What is sent by OTLP.

    Attributes:
        endpoint: address of a collector, without ``/v1/traces``; null: nothing is sent or recorded.
        trace_share: share of requests that are recorded where the caller did not decide by ``traceparent``.
        traces, metrics, logs: what is sent.
        metrics_seconds: seconds between two reports of metrics.
        encoding: ``json``, which every collector takes, or ``protobuf``, a third as long, with the part ``observe``.
        headers_variable: environment variable that holds headers, such as ``authorization=Bearer …``, with commas
            between them, so that no file does.
        timeout_seconds: of one request.
        queue: spans, and lines of the log, that wait at most; more are dropped, and counted.
        service: the name of the service; null: ``orita-`` and the system.
    """

    endpoint: Annotated[str, AfterValidator(_address)] | None = None
    trace_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    traces: bool = True
    metrics: bool = True
    logs: bool = True
    metrics_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 15
    encoding: Literal["json", "protobuf"] = "json"
    headers_variable: Annotated[str, Field(min_length=1)] = "OTEL_EXPORTER_OTLP_HEADERS"
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5
    queue: Annotated[int, Field(ge=1, le=1_000_000)] = 2048
    service: Annotated[str, Field(min_length=1, max_length=128)] | None = None
