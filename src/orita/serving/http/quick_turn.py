"""What stands on a connection of uvicorn while a quick request waits for its turn."""

from __future__ import annotations

from collections.abc import Callable

from orita.serving.http.reply import Reply

__all__ = ["QuickTurn"]


class QuickTurn:
    """A quick request from its last byte to its answer; while it waits it stands where a cycle of ASGI would.

    Args:
        answer: sends the answer, and closes the connection where it is not to be kept.
        keep_alive: whether it is to be kept.

    Attributes:
        response_started, response_complete, disconnected, keep_alive, message_event: as uvicorn's cycles have them.
    """

    __slots__ = ("_answer", "disconnected", "keep_alive", "response_complete")
    response_started = False

    def __init__(self, answer: Callable[[Reply, bool], None], *, keep_alive: bool) -> None:
        self._answer = answer
        self.keep_alive = keep_alive
        self.response_complete = self.disconnected = False

    def send(self, reply: Reply) -> None:
        """Answer."""
        self.response_complete = True
        if not self.disconnected:
            self._answer(reply, self.keep_alive)

    @property
    def message_event(self) -> QuickTurn:
        """What uvicorn wakes where the caller hung up: nobody waits for it."""
        return self

    def set(self) -> None:
        """Wake nobody."""
