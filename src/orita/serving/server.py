"""The server as a process: one listener, one event loop, an orderly stop."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

import uvicorn
from fastapi import FastAPI

from orita.core.errors import UserError
from orita.serving.config import ServingConfig
from orita.serving.http_protocol import HttpLimits, ServingProtocol

__all__ = ["serve"]

_SWITCH_SECONDS = 0.0005
_BACKLOG = 2048
_TICKS_PER_SECOND = 10  # of uvicorn's main loop


def serve(app: FastAPI, config: ServingConfig, *, announce: Callable[[str], None]) -> None:
    """Serve *app* until SIGTERM or Ctrl-C, then finish the requests under way and flush the prediction log.

    Args:
        app: from `orita.serving.app.create_app`.
        config: host, port and the patience of the stop.
        announce: told the address (``http://127.0.0.1:8080``) once the server answers there.

    Raises:
        UserError: the address is taken or not ours.
    """
    listener = _listen(config)
    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    server = _Server(
        uvicorn.Config(
            app,
            http=partial(ServingProtocol, quick=app.state.quick, limits=_limits(config)),  # type: ignore[arg-type]
            loop="uvloop",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=config.shutdown_seconds,
        ),
        lambda: announce(address),
        app.state.service.stopping,
        config.drain_seconds,
    )
    try:
        with _stop_signals(server), _quick_thread_switches():
            server.run(sockets=[listener])
    finally:
        listener.close()


class _Server(uvicorn.Server):
    """Uvicorn's server that tells when it listens, and goes on for a while when it is asked to stop."""

    def __init__(
        self, config: uvicorn.Config, listening: Callable[[], None], stopping: threading.Event, drain_seconds: float
    ) -> None:
        super().__init__(config)
        self._listening = listening
        self._stopping = stopping
        self._drain_seconds = drain_seconds
        self._asked_at = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop in order on a signal: uvicorn would stop at once, and repeat the signal when it has."""
        if self._stopping.is_set():
            self.should_exit = True
        self._asked_at = time.monotonic()
        self._stopping.set()

    async def on_tick(self, counter: int) -> bool:
        """Stop when it is time; once a second, let connections go that take too long."""
        if self._stopping.is_set() and time.monotonic() - self._asked_at >= self._drain_seconds:
            self.should_exit = True
        if counter % _TICKS_PER_SECOND == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                connection.expire(now)  # type: ignore[union-attr]
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._listening()


def _limits(config: ServingConfig) -> HttpLimits:
    return HttpLimits(config.max_header_bytes, config.request_seconds, config.max_connections)


def _listen(config: ServingConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
        # Listening already here makes a second server fail now, with a sentence, not later in its event loop.
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"cannot listen on {config.host}:{config.port}: {reason}; "
            "stop what listens there, or choose another serving.host or serving.port (0: any free one)."
        ) from None
    return listener


@contextmanager
def _stop_signals(server: _Server) -> Iterator[None]:
    """Let a signal stop the server in order also before uvicorn listens to signals, and after."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, server.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _quick_thread_switches() -> Iterator[None]:
    """Let the answering thread wait at most half a millisecond for the one that writes the prediction log."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
