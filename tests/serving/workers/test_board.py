from __future__ import annotations

import itertools
import os
import threading
import time

import pytest

from orita.serving.workers.board import LONGEST_REPORT, Board, State


def test_what_a_worker_writes_all_can_read() -> None:
    """Numbers and reports of a forked process are seen by the one that forked it, each at its own seat."""
    board = Board(3)
    pid = os.fork()
    if pid == 0:
        seat = board.seats[1]
        seat.take()
        seat.beat()
        seat.connections = 7
        seat.state = State.ANSWERING
        seat.report(b"first")
        seat.report(b"last words")
        os._exit(0)
    os.waitpid(pid, 0)
    seat = board.seats[1]
    assert (seat.pid, seat.state, seat.beats, seat.connections, seat.starts) == (pid, State.ANSWERING, 1, 7, 1)
    assert seat.read() == b"last words"
    assert [other.read() for other in board.seats] == [b"", b"last words", b""]
    seat.leave()
    assert (seat.pid, seat.state, seat.read()) == (0, State.EMPTY, b"last words")


@pytest.mark.parametrize("length", [0, 1, LONGEST_REPORT])
def test_reports_of_any_length(length: int) -> None:
    """A report is read as it was written, the longest too, and the next seat is not touched."""
    board = Board(2)
    content = os.urandom(length)
    board.seats[1].report(b"next")
    board.seats[0].report(content)
    assert board.seats[0].read() == content
    with pytest.raises(ValueError, match="is longer than"):
        board.seats[0].report(bytes(LONGEST_REPORT + 1))
    assert board.seats[0].read() == content
    assert board.seats[1].read() == b"next"


def test_no_report_is_read_in_halves() -> None:
    """While another process writes reports of changing lengths without a pause, each that is read is whole."""
    seat = Board(1).seats[0]
    seat.report(b"\x00")
    pid = os.fork()
    if pid == 0:
        for turn in itertools.count():
            seat.report(bytes([turn % 251]) * (1 + turn % 5000))
    try:
        read = {seat.read()}
        while len(read) < 100:  # both run: on a busy machine the writer may begin late
            read.add(seat.read())
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    assert all(len(set(content)) == 1 for content in read)


def test_a_writer_that_is_killed_in_the_middle_leaves_what_was_there() -> None:
    """Whenever it is killed, the report before or a whole new one is read, and a next writer can go on."""
    seat = Board(1).seats[0]
    long = b"a" * (LONGEST_REPORT // 4), b"b" * (LONGEST_REPORT // 4)
    seat.report(long[0])
    for _ in range(10):
        pid = os.fork()
        if pid == 0:
            while True:
                for content in long:
                    seat.report(content)
        threading.Event().wait(0.002 + (time.monotonic_ns() % 5) / 1000)
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        assert seat.read() in long
    seat.report(b"next")
    assert seat.read() == b"next"
