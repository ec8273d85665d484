"""The Open Inference Protocol over gRPC: ``inference.GRPCInferenceService``, as ``proto/open_inference.proto`` has it.

The specification: https://github.com/kserve/open-inference-protocol, ``specification/protocol/inference_grpc.md``. This
module needs the extra ``grpc``; `orita.core.extras.require` it before importing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any

import grpc
import grpc.aio

from orita.core.errors import UserError
from orita.core.version import VERSION
from orita.serving.access.callers import Callers, Visitor
from orita.serving.access.permissions import CALLS
from orita.serving.http.failure import failure
from orita.serving.http.refusal import Refused
from orita.serving.http.reply import Headers
from orita.serving.http.trace_context import TraceContext, in_trace, trace_of
from orita.serving.inference_protocol.asking import Asked, Asking
from orita.serving.inference_protocol.grpc_health import HEALTH, GrpcHealth
from orita.serving.inference_protocol.inference import PLATFORM, TensorMetadata, outputs_of
from orita.serving.inference_protocol.models import ModelSource
from orita.serving.inference_protocol.proto import open_inference_pb2 as pb
from orita.serving.inference_protocol.routes import SERVER_NAME
from orita.serving.inference_protocol.tensors import Tensor, from_bytes, from_values, to_bytes
from orita.serving.resilience.admitted import said_deadline
from orita.serving.resilience.deadline import until
from orita.serving.resilience.parts import Parts

__all__ = ["SERVICE", "GrpcInference"]

SERVICE = "inference.GRPCInferenceService"

_MOST_CALLS = 1024  # at once, those that watch its health among them; the next is refused as RESOURCE_EXHAUSTED

_CONTENTS = {"FP32": "fp32_contents", "FP64": "fp64_contents", "INT64": "int64_contents", "BYTES": "bytes_contents"}
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_MOST_MILLIS = 99_999_999  # 8 digits, as the header has them

Answer = Callable[[Any, Headers], Awaitable[Any]]
"""Answers a message with the headers of its call: what it gives as metadata, and its deadline."""


class GrpcInference:
    """Answers the protocol on a port of its own, in the event loop that starts it.

    Args:
        source: which models there are.
        callers: knows who asks.
        parts: what keeps the server up.
        max_message: the longest request, in bytes.
        ready: whether requests are wanted, for the health service; None: while the source is ready.
        shared: whether other processes of this server listen on the same port; connections are spread among them.

    Attributes:
        requests: how often which method ended with which gRPC status.
    """

    def __init__(
        self,
        source: ModelSource,
        callers: Callers,
        parts: Parts,
        *,
        max_message: int,
        ready: Callable[[], bool] | None = None,
        shared: bool = False,
    ) -> None:
        self._asking, self._callers, self._parts = Asking(source, parts), callers, parts
        self._health = GrpcHealth(ready or (lambda: source.ready), (SERVICE,))
        self._options = [("grpc.max_receive_message_length", max_message), ("grpc.so_reuseport", int(shared))]
        self._server: Any = None
        self.requests: Counter[tuple[str, str]] = Counter()

    async def start(self, address: str) -> int:
        """Listen on *address*, such as ``127.0.0.1:8081`` (port 0: a free one), without TLS; return the port.

        Raises:
            UserError: the address is taken or not ours.
        """
        self._server = grpc.aio.server(options=self._options, maximum_concurrent_rpcs=_MOST_CALLS)
        services = {SERVICE: self._handlers(), HEALTH: self._health.handlers}
        self._server.add_generic_rpc_handlers(
            tuple(grpc.method_handlers_generic_handler(name, methods) for name, methods in services.items())
        )
        try:
            port: int = self._server.add_insecure_port(address)
        except RuntimeError:
            raise UserError(
                f"cannot listen on {address} for gRPC: stop what listens there, or choose another address."
            ) from None
        await self._server.start()
        return port

    async def stop(self, seconds: float) -> None:
        """Take no more calls, give those under way *seconds* to end, and stop."""
        if self._server is not None:
            self._health.stop()
            await self._server.stop(seconds)

    def _handlers(self) -> dict[str, Any]:
        answers: dict[str, tuple[Any, Answer]] = {
            "ServerLive": (pb.ServerLiveRequest, self._live),
            "ServerReady": (pb.ServerReadyRequest, self._ready),
            "ModelReady": (pb.ModelReadyRequest, self._model_ready),
            "ServerMetadata": (pb.ServerMetadataRequest, self._server_metadata),
            "ModelMetadata": (pb.ModelMetadataRequest, self._model_metadata),
            "ModelInfer": (pb.ModelInferRequest, self._infer),
        }
        return {
            name: grpc.unary_unary_rpc_method_handler(
                self._guarded(name, answer),
                request_deserializer=kind.FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )
            for name, (kind, answer) in answers.items()
        }

    def _guarded(self, name: str, answer: Answer) -> Callable[[Any, Any], Awaitable[Any]]:
        async def call(request: Any, context: Any) -> Any:
            trace, arrived = _trace_of(context), self._parts.clock.monotonic()
            try:
                with nullcontext() if trace is None else in_trace(trace):
                    headers = _headers(context)
                    if name in CALLS:
                        await self._callers.caller(CALLS[name], Visitor(headers, _address(context)))
                    with until(said_deadline(self._parts, headers, arrived)):
                        found = await answer(request, headers)
            except Refused as refused:
                failed = refused
            except asyncio.CancelledError:  # the caller hung up, or the server stops
                self.requests[name, "CANCELLED"] += 1
                raise
            except Exception as error:  # the edge: the caller gets a status, the log the trace
                failed = failure("inference_failed", error, method=name)
            else:
                self.requests[name, "OK"] += 1
                if trace is not None:
                    context.set_trailing_metadata((tuple(part.decode() for part in trace.response),))
                return found
            code = _CODES.get(failed.status, grpc.StatusCode.INTERNAL)
            self.requests[name, code.name] += 1
            if failed.retry_after is not None:
                context.set_trailing_metadata((("grpc-retry-pushback-ms", str(1000 * failed.retry_after)),))
            return await context.abort(code, failed.message)

        return call

    async def _live(self, _: Any, __: Headers) -> Any:
        return pb.ServerLiveResponse(live=True)

    async def _ready(self, _: Any, __: Headers) -> Any:
        return pb.ServerReadyResponse(ready=self._asking.source.ready)

    async def _model_ready(self, request: Any, _: Headers) -> Any:
        return pb.ModelReadyResponse(ready=await self._asking.is_ready(request.name, request.version or None))

    async def _server_metadata(self, _: Any, __: Headers) -> Any:
        return pb.ServerMetadataResponse(name=SERVER_NAME, version=VERSION)  # binary data is gRPC's own, no extension

    async def _model_metadata(self, request: Any, _: Headers) -> Any:
        package = await self._asking.model(request.name, request.version or None)
        return pb.ModelMetadataResponse(
            name=request.name,
            versions=self._asking.versions(request.name),
            platform=PLATFORM,
            inputs=[_described(tensor) for tensor in await self._asking.inputs(package)],
            outputs=[_described(tensor) for tensor in outputs_of(package)],
        )

    async def _infer(self, request: Any, headers: Headers) -> Any:
        def decode() -> Asked[None]:
            return Asked(_inputs(request), [output.name for output in request.outputs], None)

        name, version = request.model_name, request.model_version or None
        package, _, outputs = await self._asking.answer(name, version, headers, decode)
        answer = pb.ModelInferResponse(model_name=request.model_name, model_version=package.version, id=request.id)
        for tensor in outputs:
            told = answer.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
            if request.raw_input_contents:
                answer.raw_output_contents.append(to_bytes(tensor))
            else:
                getattr(told.contents, _CONTENTS[tensor.datatype]).extend(tensor.values_E.tolist())
        return answer


def _headers(context: Any) -> Headers:
    """Return the metadata of a call, with its deadline in the form in which it came."""
    given = [(key.encode(), _bytes(value)) for key, value in context.invocation_metadata() or ()]
    left = context.time_remaining()
    if left is not None:
        given.append((b"grpc-timeout", b"%dm" % min(max(1, round(left * 1000)), _MOST_MILLIS)))
    return given


def _address(context: Any) -> str | None:
    """Return where a caller is: gRPC tells its peer as ``ipv4:127.0.0.1:51234`` or ``ipv6:[::1]:51234``."""
    kind, _, address = context.peer().partition(":")
    return address.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else None


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1", "replace")


def _trace_of(context: Any) -> TraceContext | None:
    given: dict[str, list[bytes]] = {"traceparent": [], "tracestate": []}
    for key, value in context.invocation_metadata() or ():
        if key in given:
            given[key].append(value.encode("latin-1", "replace"))
    return trace_of(given["traceparent"], given["tracestate"])


def _described(tensor: TensorMetadata) -> Any:
    return pb.ModelMetadataResponse.TensorMetadata(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)


def _inputs(request: Any) -> list[Tensor]:
    raw = request.raw_input_contents
    if not raw:
        return [_typed(one) for one in request.inputs]
    if len(raw) != len(request.inputs) or any(one.HasField("contents") for one in request.inputs):
        message = (
            f"raw_input_contents has {len(raw)} tensors for {len(request.inputs)} inputs: give one an input, in their "
            "order, and no contents beside them."
        )
        raise Refused(400, "invalid_value", message)
    return [from_bytes(one.name, one.datatype, one.shape, data) for one, data in zip(request.inputs, raw, strict=True)]


def _typed(one: Any) -> Tensor:
    """Return an input whose elements are in the field of its datatype."""
    field = _CONTENTS.get(one.datatype, "bytes_contents")  # of another datatype: refused below
    values = list(getattr(one.contents, field))
    others = [other.name for other, _ in one.contents.ListFields() if other.name != field]
    if others and one.datatype in _CONTENTS:
        message = f"input {one.name!r} is {one.datatype} and has {others[0]}: give {field} alone."
        raise Refused(400, "invalid_value", message)
    if field == "bytes_contents":
        try:
            values = [value.decode() for value in values]
        except UnicodeDecodeError:
            raise Refused(400, "invalid_value", f"input {one.name!r} has an element that is not UTF-8.") from None
    return from_values(one.name, one.datatype, one.shape, values)
