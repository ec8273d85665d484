"""The server as a process: one listener, one event loop, an orderly stop."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from orita.core.errors import UserError
from orita.serving.config import ServingConfig

__all__ = ["serve"]

_SWITCH_SECONDS = 0.0005
_BACKLOG = 2048


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
            http="httptools",
            loop="uvloop",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=config.shutdown_seconds,
        ),
        lambda: announce(address),
    )
    try:
        with _stop_signals(server), _quick_thread_switches():
            server.run(sockets=[listener])
    finally:
        listener.close()


class _Server(uvicorn.Server):
    """Uvicorn's server that tells when it listens."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._listening()


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
def _stop_signals(server: uvicorn.Server) -> Iterator[None]:
    """Let a stop by signal end in a normal return: uvicorn repeats the signal once it has shut down."""

    def stop(_number: int, _frame: object) -> None:
        server.should_exit = True

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
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
