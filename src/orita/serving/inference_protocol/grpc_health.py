"""``grpc.health.v1.Health``, by which load balancers and probes ask whether a gRPC server wants requests.

The specification: https://github.com/grpc/grpc/blob/master/doc/health-checking.md. Its two messages are described here,
in a pool of their own, so that a process may also import another copy of them. Needs the extra ``grpc``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

__all__ = ["HEALTH", "GrpcHealth", "health_messages"]

HEALTH = "grpc.health.v1.Health"
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3

_LOOK_SECONDS = 0.5


def health_messages() -> tuple[Any, Any]:
    """Return the classes ``HealthCheckRequest`` and ``HealthCheckResponse``."""
    file = FileDescriptorProto(name="grpc/health/v1/health.proto", package="grpc.health.v1", syntax="proto3")
    asked, told = file.message_type.add(name="HealthCheckRequest"), file.message_type.add(name="HealthCheckResponse")
    one = FieldDescriptorProto.LABEL_OPTIONAL
    asked.field.add(name="service", number=1, label=one, type=FieldDescriptorProto.TYPE_STRING)
    states = told.enum_type.add(name="ServingStatus")
    for number, name in enumerate(("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")):
        states.value.add(name=name, number=number)
    kind = ".grpc.health.v1.HealthCheckResponse.ServingStatus"
    told.field.add(name="status", number=1, label=one, type=FieldDescriptorProto.TYPE_ENUM, type_name=kind)
    pool = DescriptorPool()
    pool.Add(file)
    found = (pool.FindMessageTypeByName(f"grpc.health.v1.{message.name}") for message in (asked, told))
    request, response = map(GetMessageClass, found)
    return request, response


class GrpcHealth:
    """Answers the service.

    Args:
        ready: whether the server wants requests now.
        services: the names that may be asked for beside the empty one, which means all of the server.
    """

    def __init__(self, ready: Callable[[], bool], services: tuple[str, ...]) -> None:
        self._ready, self._services = ready, ("", *services)
        self._stopping = asyncio.Event()
        self._request, self._response = health_messages()

    @property
    def handlers(self) -> dict[str, Any]:
        """The methods, by name."""
        told: dict[str, Any] = {
            "request_deserializer": self._request.FromString,
            "response_serializer": lambda message: message.SerializeToString(),
        }
        return {
            "Check": grpc.unary_unary_rpc_method_handler(self._check, **told),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch, **told),
        }

    def stop(self) -> None:
        """Say from now on that no requests are wanted, and let those go who watch."""
        self._stopping.set()

    def _status(self, service: str) -> int:
        if service not in self._services:
            return SERVICE_UNKNOWN
        return SERVING if self._ready() and not self._stopping.is_set() else NOT_SERVING

    async def _check(self, request: Any, context: Any) -> Any:
        status = self._status(request.service)
        if status == SERVICE_UNKNOWN:
            known = ", ".join(self._services[1:])
            message = f"service {request.service[:80]!r} is not here, allowed are none and {known}."
            await context.abort(grpc.StatusCode.NOT_FOUND, message)
        return self._response(status=status)

    async def _watch(self, request: Any, _: Any) -> AsyncIterator[Any]:
        last = None
        while True:
            stopping, status = self._stopping.is_set(), self._status(request.service)
            if status != last:
                yield self._response(status=status)
                last = status
            if stopping:
                return
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._stopping.wait()
            except TimeoutError:
                continue
