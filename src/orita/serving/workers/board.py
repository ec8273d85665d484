"""What a supervisor and its workers know of one another: memory that they share, with a seat for each worker.

It is mapped before the first worker is forked and belongs to no file, so it ends with the last of them, and what a
killed worker wrote there last stays. Only its worker writes a seat, and everybody may read it: no lock is needed. Small
numbers are stored at once. A report is written into the half that nobody reads, then that half becomes the one that is
read; who is overtaken by two reports finds that the checksum does not fit, and reads again.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from enum import IntEnum

from orita.serving.workers.notes import NOTES_BYTES, Notes

__all__ = ["LONGEST_REPORT", "Board", "Seat", "State"]

_BYTES = 1024 * 1024  # of a seat; what is never written takes no memory
_HEAD = 64
_HALF = (_BYTES - _HEAD - NOTES_BYTES) // 2
_PREFIX_FORMAT = struct.Struct("=QQ")  # length and checksum
_PREFIX = _PREFIX_FORMAT.size
LONGEST_REPORT = _HALF - _PREFIX
"""Bytes of one report."""

_PID, _STATE, _BEATS, _STARTS, _CONNECTIONS, _CURRENT = range(6)  # words of 8 bytes at the head of a seat
_TRIES = 100


class State(IntEnum):
    """What a worker does."""

    EMPTY = 0
    STARTING = 1
    ANSWERING = 2
    STOPPING = 3


class Seat:
    """One worker's part of the board.

    Attributes:
        number: from 1.
        notes: what it tells the others as it happens.
    """

    def __init__(self, memory: memoryview, number: int) -> None:
        self.number = number
        self._words = memory[:_HEAD].cast("q")
        self._halves = memory[_HEAD : _HEAD + _HALF], memory[_HEAD + _HALF : _HEAD + 2 * _HALF]
        self.notes = Notes(memory[-NOTES_BYTES:])

    @property
    def pid(self) -> int:
        """The process that sits here; 0: none does."""
        return self._words[_PID]

    @property
    def state(self) -> State:
        """What it does."""
        return State(self._words[_STATE])

    @state.setter
    def state(self, state: State) -> None:
        self._words[_STATE] = state

    @property
    def beats(self) -> int:
        """How often it said that its event loop turns."""
        return self._words[_BEATS]

    @property
    def starts(self) -> int:
        """How many processes have sat here."""
        return self._words[_STARTS]

    @property
    def connections(self) -> int:
        """How many connections it has."""
        return self._words[_CONNECTIONS]

    @connections.setter
    def connections(self, connections: int) -> None:
        self._words[_CONNECTIONS] = connections

    def take(self) -> None:
        """Sit down, as the process that calls."""
        self._words[_STATE] = State.STARTING
        self._words[_BEATS] = self._words[_CONNECTIONS] = 0
        self._words[_STARTS] += 1
        self._words[_PID] = os.getpid()

    def leave(self) -> None:
        """Free the seat of a process that has ended; its last report stays."""
        self._words[_PID] = 0
        self._words[_STATE] = State.EMPTY

    def beat(self) -> None:
        """Say that the event loop turns."""
        self._words[_BEATS] += 1

    def report(self, content: bytes) -> None:
        """Leave *content* for all to read.

        Raises:
            ValueError: it is longer than `LONGEST_REPORT`.
        """
        if len(content) > LONGEST_REPORT:
            raise ValueError(f"a report of {len(content)} bytes is longer than {LONGEST_REPORT}")
        other = 1 - self._words[_CURRENT]
        half = self._halves[other]
        half[_PREFIX : _PREFIX + len(content)] = content
        _PREFIX_FORMAT.pack_into(half, 0, len(content), zlib.crc32(content))
        self._words[_CURRENT] = other

    def read(self) -> bytes:
        """Return what was last reported by whoever sits or sat here, empty before the first report."""
        for _ in range(_TRIES):
            half = self._halves[self._words[_CURRENT]]
            length, checksum = _PREFIX_FORMAT.unpack_from(half)
            content = bytes(half[_PREFIX : _PREFIX + max(0, min(length, LONGEST_REPORT))])
            if zlib.crc32(content) == checksum:
                return content
        return b""  # overtaken a hundred times: as if nothing had been said


class Board:
    """Shared memory with so many seats; made by the supervisor before it forks."""

    def __init__(self, seats: int) -> None:
        self._memory = mmap.mmap(-1, seats * _BYTES)
        whole = memoryview(self._memory)
        self.seats = tuple(Seat(whole[at * _BYTES : (at + 1) * _BYTES], at + 1) for at in range(seats))
