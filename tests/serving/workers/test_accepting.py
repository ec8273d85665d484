from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest

from orita.serving.workers.accepting import FairAcceptor
from orita.serving.workers.board import Board, State


class Kept(asyncio.Protocol):
    """A connection that is kept."""

    def __init__(self, kept: list[Kept]) -> None:
        self._kept = kept

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        self.transport = transport
        self._kept.append(self)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listening socket."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


async def accepted_after(listener: socket.socket, board: Board, had: int, connect: int = 1) -> tuple[int, float]:
    """Let the first seat, which has so many connections, accept; return how many it took, and the seconds it waited."""
    kept: list[Kept] = []
    acceptor = FairAcceptor(listener, lambda: Kept(kept), lambda: had + len(kept), board, board.seats[0])
    callers = [socket.create_connection(listener.getsockname()) for _ in range(connect)]
    began = time.monotonic()
    acceptor.start()
    try:
        async with asyncio.timeout(10):
            while len(kept) < connect:
                await asyncio.sleep(0)
    finally:
        acceptor.stop()
        for one in kept:
            one.transport.close()
        for caller in callers:
            caller.close()
        await asyncio.sleep(0)
    return len(kept), time.monotonic() - began


def board_with(others: int, state: State = State.ANSWERING) -> Board:
    """Return a board of two that answer; the second has so many connections."""
    board = Board(2)
    board.seats[0].state, board.seats[1].state = State.ANSWERING, state
    board.seats[1].connections = others
    return board


def test_who_has_more_lets_another_go_first(listener: socket.socket) -> None:
    """It waits, the longer the more it is ahead, and then takes the connection: the other may be frozen."""
    assert asyncio.run(accepted_after(listener, board_with(others=7), had=8))[1] >= 0.001
    count, seconds = asyncio.run(accepted_after(listener, board_with(others=0), had=20))
    assert count == 1
    assert seconds >= 0.005


def test_all_that_wait_are_taken_in_the_end(listener: socket.socket) -> None:
    """Whoever is the only one takes all, one by one, and says on the board how many it has."""
    board = board_with(others=0, state=State.EMPTY)
    assert asyncio.run(accepted_after(listener, board, had=3, connect=10))[0] == 10
    assert board.seats[0].connections >= 13


def test_a_connection_that_another_took(listener: socket.socket) -> None:
    """Woken for a connection that is gone, it goes on."""

    async def woken() -> int:
        kept: list[Kept] = []
        acceptor = FairAcceptor(listener, lambda: Kept(kept), kept.__len__, board_with(0), Board(1).seats[0])
        with socket.create_connection(listener.getsockname()):
            acceptor.start()
            listener.accept()[0].close()
            await asyncio.sleep(0.05)
            with socket.create_connection(listener.getsockname()):
                while not kept:
                    await asyncio.sleep(0)
                kept[0].transport.close()
                acceptor.stop()
                await asyncio.sleep(0)
        return len(kept)

    assert asyncio.run(woken()) == 1
