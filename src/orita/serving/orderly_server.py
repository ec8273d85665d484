"""Uvicorn's server with an orderly beginning and end: when a worker takes connections, and how callers are let go."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType

import structlog
import uvicorn

from orita.serving.service import Service
from orita.serving.workers.accepting import FairAcceptor
from orita.serving.workers.together import Together

__all__ = ["OrderlyServer"]

_log = structlog.stdlib.get_logger("orita.serving")

_AWAITING_SECONDS = 0.01
_TICKS_PER_SECOND = 10  # of uvicorn's main loop, and of a worker's signs of life
_LEAVE_SECONDS = 1.0  # for callers who ask again to be told that it was the last answer on their connection


class OrderlyServer(uvicorn.Server):
    """Tells when it listens, and goes on for a while when it is asked to stop.

    Args:
        config: uvicorn's.
        listening: called once it answers.
        service: what is stopped, and what works beside requests.
        drain_seconds: for which it goes on answering when it is asked to stop.
        together: the other workers, None where it is the only process.
    """

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
        """Begin to listen; a worker takes connections of *sockets* once it has what requests need."""
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
        """Take no more connections, let callers go, then stop."""
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
