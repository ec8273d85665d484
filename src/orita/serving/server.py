"""The server as a process: one listener, one event loop, an orderly stop; or several such processes.

`serve` is one process. `serve_with_workers` is a supervisor and so many workers on one listener, each of which does
what `serve` does.
"""

from __future__ import annotations

import gc
import importlib
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import uvicorn
from starlette.applications import Starlette

from orita.core.clock import Clock, SystemClock
from orita.core.errors import UserError
from orita.serving.config import ServingConfig
from orita.serving.http.limits import HttpLimits
from orita.serving.http.protocol import ServingProtocol
from orita.serving.http.unfinished_bodies import UnfinishedBodies
from orita.serving.orderly_server import OrderlyServer
from orita.serving.workers.board import Board, Seat
from orita.serving.workers.supervisor import Patience, Supervisor
from orita.serving.workers.together import Together

__all__ = ["AppMaker", "serve", "serve_with_workers"]

AppMaker = Callable[[], Starlette]
"""Makes the application of one worker, in that worker's process."""

_SWITCH_SECONDS = 0.0005
_BACKLOG = 2048
_LATE = ("anyio._backends._asyncio", "lmdb", "sqlalchemy.dialects.sqlite", "uvicorn.lifespan.on", "uvloop")
"""What would be imported by each worker when it first needs it."""
_LOG_SECONDS = 60.0  # for the rest of the prediction log to become Parquet when a worker stops


def serve(app: Starlette, config: ServingConfig, *, announce: Callable[[str], None]) -> None:
    """Serve *app* until SIGTERM, SIGHUP or Ctrl-C, then finish the requests under way and flush the prediction log.

    Args:
        app: from `orita.serving.app.create_app`.
        config: host, port and the patience of the stop.
        announce: told the address (``http://127.0.0.1:8080``) once the server answers there.

    Raises:
        UserError: the address is taken or not ours.
    """
    listener = _listen(config)
    address = _address(listener)
    try:
        _run(_server(app, config, lambda: announce(address)), listener)
    finally:
        listener.close()


def serve_with_workers(
    make_app: AppMaker, config: ServingConfig, *, announce: Callable[[str], None], clock: Clock | None = None
) -> None:
    """Serve by ``config.workers`` processes until SIGTERM or Ctrl-C; one that dies or hangs is replaced.

    Import what the workers need before: they are forked, and share it.

    Args:
        make_app: called in each worker; calls `orita.serving.app.create_app`.
        config: host, port, how many workers, and how long they are waited for.
        announce: told the address once the workers answer there.
        clock: the time.

    Raises:
        UserError: the address is taken or not ours, or the workers cannot start for a reason that the user can mend.
        OritaError: they end again and again before one answers.
    """
    listener = _listen(config)
    address = _address(listener)
    board = Board(config.workers + 1)
    for name in _LATE:
        importlib.import_module(name)

    def work(seat: Seat) -> None:
        app = make_app()
        together = app.state.together = Together(board, seat, app.state.service)
        _run(_server(app, config, together.answering, together), listener)
        together.tick()  # what was counted since the last

    supervisor = Supervisor(
        config.workers,
        board,
        work,
        patience=Patience(
            start=config.worker_start_seconds,
            hang=config.worker_hang_seconds,
            stop=config.drain_seconds + config.shutdown_seconds + _LOG_SECONDS,
        ),
        clock=clock or SystemClock(),
        announce=lambda: announce(address),
    )
    try:
        supervisor.run()
    finally:
        listener.close()


def _server(
    app: Starlette, config: ServingConfig, listening: Callable[[], None], together: Together | None = None
) -> OrderlyServer:
    protocol = partial(
        ServingProtocol,
        quick=app.state.quick,
        limits=HttpLimits(config.max_header_bytes, config.request_seconds, config.max_connections),
        bodies=UnfinishedBodies(config.max_unfinished_bytes),
        turned_away=app.state.turned_away,
    )
    return OrderlyServer(
        uvicorn.Config(
            app,
            http=protocol,  # type: ignore[arg-type]
            loop="uvloop",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # else a caller's own header could say from where they come
            lifespan="on",
            timeout_graceful_shutdown=config.shutdown_seconds,
        ),
        listening,
        app.state.service,
        config.drain_seconds,
        together,
    )


def _run(server: OrderlyServer, listener: socket.socket) -> None:
    with _stop_signals(server), _quick_thread_switches():
        try:
            server.run(sockets=[listener])
        finally:
            gc.unfreeze()


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


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
def _stop_signals(server: OrderlyServer) -> Iterator[None]:
    """Let a signal stop the server in order also before uvicorn listens to signals, and after."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as in a worker, and under nohup
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, server.handle_exit) for number in numbers}
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
