"""gRPC beside HTTP: a listener of its own, begun and ended with the server."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from orita.core.errors import UserError
from orita.core.extras import require
from orita.serving.access.callers import Callers
from orita.serving.config import ServingConfig
from orita.serving.inference_protocol.models import ModelSource
from orita.serving.resilience.parts import Parts

__all__ = ["check_grpc", "grpc_listening"]

_log = structlog.stdlib.get_logger("orita.serving")


def check_grpc(config: ServingConfig) -> None:
    """Refuse, before anything is started, what `grpc_listening` could not begin.

    Raises:
        MissingExtra: the extra ``grpc`` is not installed.
        UserError: the address is taken or not ours, or several workers would each take a port of their own.
    """
    if not _wanted(config):
        return
    require("grpc", extra="grpc")
    require("google.protobuf", extra="grpc")
    assert config.inference_grpc_port is not None
    if config.inference_grpc_port == 0 and config.workers > 1:
        raise UserError(
            f"serving.inference_grpc_port is 0 with {config.workers} workers, and each would take another port: name "
            "one, which they share."
        )
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(config.workers > 1))
        try:
            listener.bind((config.host, config.inference_grpc_port))
            listener.listen(1)
        except OSError as error:
            raise UserError(
                f"cannot listen on {config.host}:{config.inference_grpc_port} for gRPC: {error.strerror or error}; "
                "stop what listens there, or choose another serving.inference_grpc_port (0: any free one, null: none)."
            ) from None


@asynccontextmanager
async def grpc_listening(
    source: ModelSource, config: ServingConfig, callers: Callers, parts: Parts, ready: Callable[[], bool]
) -> AsyncIterator[int | None]:
    """Answer the protocol over gRPC within the block, where the configuration has a port for it.

    Args:
        source: which models there are.
        config: where it listens, how long a message may be, and the patience of the stop.
        callers: knows who asks.
        parts: what keeps the server up.
        ready: whether the server wants requests, for those who ask its health.

    Yields the port, None where there is none. When the block ends, calls under way are given as long as those of HTTP.

    Raises:
        UserError: the address is taken.
    """
    if not _wanted(config):
        yield None
        return
    from orita.serving.inference_protocol.grpc_service import GrpcInference

    shared = config.workers > 1
    server = GrpcInference(source, callers, parts, max_message=config.max_body_bytes, ready=ready, shared=shared)
    host = f"[{config.host}]" if ":" in config.host else config.host
    port = await server.start(f"{host}:{config.inference_grpc_port}")
    _log.info("inference_grpc_listening", address=f"{host}:{port}")
    try:
        yield port
    finally:
        await server.stop(config.shutdown_seconds)


def _wanted(config: ServingConfig) -> bool:
    return config.inference_exposed and config.inference_grpc_port is not None
