"""Messages of OTLP as bytes: JSON, or protobuf where its messages are installed."""

from __future__ import annotations

import base64
import importlib
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from orita.core.extras import require

__all__ = ["Signal", "encoder"]

Signal = Literal["traces", "metrics", "logs"]
Encode = Callable[[Signal, dict[str, Any]], bytes]

_IDS = ("traceId", "spanId", "parentSpanId")
_REQUESTS = {
    "traces": ("trace", "ExportTraceServiceRequest"),
    "metrics": ("metrics", "ExportMetricsServiceRequest"),
    "logs": ("logs", "ExportLogsServiceRequest"),
}


def encoder(encoding: Literal["json", "protobuf"]) -> tuple[Encode, str]:
    """Return what encodes messages, and its content type.

    Raises:
        MissingExtra: protobuf is wanted, and its messages are not installed.
    """
    if encoding == "json":
        return lambda _signal, message: msgspec.json.encode(message), "application/json"
    require("opentelemetry.proto", extra="observe")
    from google.protobuf import json_format

    def as_protobuf(signal: Signal, message: dict[str, Any]) -> bytes:
        module, name = _REQUESTS[signal]
        kind = getattr(importlib.import_module(f"opentelemetry.proto.collector.{module}.v1.{module}_service_pb2"), name)
        encoded: bytes = json_format.ParseDict(_with_bytes(message), kind()).SerializeToString()
        return encoded

    return as_protobuf, "application/x-protobuf"


def _with_bytes(value: Any) -> Any:
    """Return a message whose ids are what JSON of protobuf has for bytes: OTLP's JSON has hexadecimal digits."""
    if isinstance(value, dict):
        return {
            name: base64.b64encode(bytes.fromhex(each)).decode() if name in _IDS else _with_bytes(each)
            for name, each in value.items()
        }
    return [_with_bytes(each) for each in value] if isinstance(value, list) else value
