"""Connections of a listener that several processes share: taken one at a time, by who has the fewest.

All processes are woken by a new connection. Left to the event loop, the first of them takes all that wait, and as
connections are kept, one process may serve every caller for ever while the others idle. Here a process that has more
connections than another lets that one go first, for a millisecond or, the more it has, some more; if the connection is
still there then, it takes it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import structlog

from orita.serving.workers.board import Board, Seat, State

__all__ = ["FairAcceptor"]

_log = structlog.stdlib.get_logger("orita.serving")

_YIELD_SECONDS = 0.001
_MOST_YIELDS = 5
_EXHAUSTED_SECONDS = 1.0


class FairAcceptor:
    """Accepts for one worker.

    Args:
        listener: listens, and is shared.
        make_protocol: makes what serves a connection.
        connections: says how many this process has.
        board: says how many the others have.
        seat: this worker's own.
    """

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        connections: Callable[[], int],
        board: Board,
        seat: Seat,
    ) -> None:
        self._listener = listener
        self._make_protocol = make_protocol
        self._connections = connections
        self._board, self._seat = board, seat
        self._beginning: set[asyncio.Task[object]] = set()
        self._yielded = 0
        self._stopped = False

    def start(self) -> None:
        """Begin, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._ready)

    def stop(self) -> None:
        """Take no more; what waits is for the others."""
        self._stopped = True
        self._loop.remove_reader(self._listener)

    def _ready(self) -> None:
        if self._yielded < min(self._ahead(), _MOST_YIELDS):
            self._yielded += 1
            self._pause(_YIELD_SECONDS)
        else:
            self._yielded = 0
            self._accept()

    def _ahead(self) -> int:
        """Return how many connections this worker has more than the one that answers and has the fewest."""
        own = self._seat.connections = self._connections() + len(self._beginning)
        return own - min((seat.connections for seat in self._board.seats if seat.state is State.ANSWERING), default=own)

    def _accept(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another took it, or the caller went away
        except OSError as error:  # no more files may be open; those that are close some time
            _log.error("connections_not_accepted", alert=True, worker=self._seat.number, error=str(error))
            self._pause(_EXHAUSTED_SECONDS)
            return
        accepted.setblocking(False)
        task: asyncio.Task[object] = self._loop.create_task(
            self._loop.connect_accepted_socket(self._make_protocol, accepted)
        )
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)
        self._seat.connections += 1

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._loop.call_later(seconds, self._again)

    def _again(self) -> None:
        if not self._stopped:
            self._loop.add_reader(self._listener, self._ready)
