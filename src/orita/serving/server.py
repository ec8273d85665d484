"""The server as a process: one listener, one event loop, an orderly stop; or several such processes.

`serve` is one process. `serve_with_workers` is a supervisor and so many workers on one listener, each of which does
what `serve` does.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

import structlog
import uvicorn
from starlette.applications import Starlette

from orita.core.clock import Clock, SystemClock
from orita.core.errors import UserError
from orita.serving.config import ServingConfig
from orita.serving.http_protocol import HttpLimits, ServingProtocol
from orita.serving.service import Service
from orita.serving.workers.accepting import FairAcceptor
from orita.serving.workers.board import Board, Seat
from orita.serving.workers.supervisor import Patience, Supervisor
from orita.serving.workers.together import Together

__all__ = ["AppMaker", "serve", "serve_with_workers"]

AppMaker = Callable[[], Starlette]
"""Makes the application of one worker, in that worker's process."""

_log = structlog.stdlib.get_logger("orita.serving")

_SWITCH_SECONDS = 0.0005
_BACKLOG = 2048
_AWAITING_SECONDS = 0.01
_TICKS_PER_SECOND = 10  # of uvicorn's main loop, and of a worker's signs of life
_LEAVE_SECONDS = 1.0  # for callers who ask again to be told that it was the last answer on their connection
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
) -> _Server:
    protocol = partial(
        ServingProtocol, quick=app.state.quick, limits=_limits(config), turned_away=app.state.turned_away
    )
    return _Server(
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


def _run(server: _Server, listener: socket.socket) -> None:
    with _stop_signals(server), _quick_thread_switches():
        try:
            server.run(sockets=[listener])
        finally:
            gc.unfreeze()


class _Server(uvicorn.Server):
    """Uvicorn's server that tells when it listens, and goes on for a while when it is asked to stop."""

    def __init__(
        self,
        config: uvicorn.Config,
        listening: Callable[[], None],
        service: Service,
        drain_seconds: float,
        together: Together | None,
    ) -> None:
        super().__init__(config)
        self._together = together
        self._beating: asyncio.Task[None] | None = None
        self._acceptors: list[FairAcceptor] = []
        self._listening = listening
        self._stopping, self._background = service.stopping, service.background
        self._drain_seconds = drain_seconds
        self._asked_at = 0.0
        self._asked_twice = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop in order on a signal: uvicorn would stop at once, and repeat the signal when it has."""
        if self._together is not None:
            if sig == signal.SIGINT:
                return  # a terminal sends it to all; a worker's supervisor says when to stop
            self._together.stopping()
        if self._stopping.is_set():
            self.should_exit = self._asked_twice = True
        self._asked_at = time.monotonic()
        self._stopping.set()

    async def on_tick(self, counter: int) -> bool:
        """Stop when it is time, and let callers know; once a second, let connections go that take too long."""
        if self._stopping.is_set():
            self._tell_connections()
            if time.monotonic() - self._asked_at >= self._drain_seconds:
                self.should_exit = True
        if counter % _TICKS_PER_SECOND == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                connection.expire(now)  # type: ignore[union-attr]
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._together is None:
            await super().startup(sockets)
        else:
            self._beating = asyncio.create_task(self._beat(self._together))
            self._background.undisturbed = self._together.others_answer()
            await super().startup([])
            await self._await_parts(self._together)
            self._accept(self._together, sockets or [])
        if self.started:
            gc.freeze()  # what a server begins with stays, so no collection needs to look at it again
            self._listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for acceptor in self._acceptors:
            acceptor.stop()
        for server in self.servers:
            server.close()
        await self._let_callers_leave()
        await super().shutdown(sockets)

    def _tell_connections(self) -> None:
        for connection in list(self.server_state.connections):
            connection.leave()  # type: ignore[union-attr]

    async def _let_callers_leave(self) -> None:
        """Keep idle connections a moment longer: a request may be on its way on them, which a close would lose."""
        while self.server_state.connections and not self._asked_twice:
            if time.monotonic() - self._asked_at >= _LEAVE_SECONDS:
                return
            self._tell_connections()
            await asyncio.sleep(1 / _TICKS_PER_SECOND)

    async def _beat(self, together: Together) -> None:
        """Give signs of life; where a part of the background ended, only a new process helps, so this one stops."""
        while True:
            together.seat.connections = len(self.server_state.connections)
            together.tick()
            ended = self._background.ended
            if ended and not self._stopping.is_set():
                _log.error("background_ended", alert=True, worker=together.seat.number, parts=ended)
                self.handle_exit(signal.SIGTERM, None)
            await asyncio.sleep(1 / _TICKS_PER_SECOND)

    async def _await_parts(self, together: Together) -> None:
        """Leave callers to other workers, as long as some answer, until what requests need here is there."""
        while self._background.awaited and together.others_answer() and not self._stopping.is_set():
            await asyncio.sleep(_AWAITING_SECONDS)
        self._background.undisturbed = False

    def _accept(self, together: Together, listeners: list[socket.socket]) -> None:
        """Take connections from listeners that other workers have too."""

        def make_protocol() -> asyncio.Protocol:
            made: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
            return made(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

        for listener in listeners:
            connections = self.server_state.connections
            acceptor = FairAcceptor(listener, make_protocol, connections.__len__, together.board, together.seat)
            acceptor.start()
            self._acceptors.append(acceptor)


def _limits(config: ServingConfig) -> HttpLimits:
    return HttpLimits(config.max_header_bytes, config.request_seconds, config.max_connections)


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
def _stop_signals(server: _Server) -> Iterator[None]:
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
