"""Bodies that are still coming, on all connections of a server together.

A connection may send its body slowly, and a server has room for thousands of connections. Where their unfinished
bodies are more than is allowed, the one that has been coming for the longest time gives way: whoever sends at a usual
speed is done by then. A body that comes in one piece is not counted.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Sender", "UnfinishedBodies"]


class Sender(Protocol):
    """A connection on which a body comes."""

    def give_way(self) -> None:
        """Let go of the body; `UnfinishedBodies.ended` is told."""
        ...


class UnfinishedBodies:
    """Counts them; called by the thread of one event loop.

    Args:
        most: bytes that all of them may have.

    Attributes:
        held: bytes that they have.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lengths: dict[Sender, int] = {}
        self.held = 0

    def grew(self, sender: Sender, length: int) -> None:
        """Count a body that is not whole yet and has *length* bytes so far.

        Args:
            sender: on which it comes.
            length: in bytes.
        """
        self.held += length - self._lengths.get(sender, 0)
        self._lengths[sender] = length
        while self.held > self._most:
            next(iter(self._lengths)).give_way()

    def ended(self, sender: Sender) -> None:
        """Forget a body: it is whole, or its connection is over."""
        self.held -= self._lengths.pop(sender, 0)
