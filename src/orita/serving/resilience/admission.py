"""Who may come in, who waits, who is turned away: pure, in whatever time it is told.

Up to *slots* requests are answered at a time, others wait, and as many as the limit says may be inside at all. Past it
the newest of the lowest priority waiting makes room for a request of a higher one; otherwise the request itself is
shed. Waiting is first come, first served within a priority: the limit keeps it short, so that nobody waits in vain, and
last come, first served would only let some wait for ever. A request whose deadline is past is dropped when its turn
comes.

    admission = Admission(BudgetLimit(0.010), slots=1)
    ticket = Ticket(Priority.NORMAL, deadline, arrived)
    if admission.arrive(ticket, now): ...            # its turn is now; False: it waits; raises Refused: it is shed
    admission.leave(ticket, now)                     # after its answer
    waiting = admission.next(now)                    # whose turn is next

`Turnstile` calls it for the requests of an event loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Protocol

from pydantic import Field, model_validator

from orita.core.config import Section
from orita.serving.http.refusal import Refused
from orita.serving.resilience.contracts import ConcurrencyLimit, Priority
from orita.serving.resilience.retry_after import RetryAfter

__all__ = ["Admission", "AdmissionConfig", "Ticket", "Turn", "overloaded"]


class AdmissionConfig(Section):
    """How many requests a server lets in.

    Attributes:
        wait_ms: milliseconds that waiting may add to the latency of an idle server.
        most: requests that may be inside, whatever latency says.
        least: requests that may be inside whatever latency says, as far as they are answered in ten times *wait_ms*;
            two may be in any case, or one where that is *least*.
        retry_after_seconds: the longest ``Retry-After``.
    """

    wait_ms: Annotated[float, Field(gt=0, le=10_000)] = 10.0
    most: Annotated[int, Field(ge=1, le=100_000)] = 1000
    least: Annotated[int, Field(ge=1, le=1000)] = 16
    retry_after_seconds: Annotated[int, Field(ge=1, le=3600)] = 60

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> AdmissionConfig:
        if self.least > self.most:
            raise ValueError(f"least is {self.least}, allowed are values up to most ({self.most})")
        return self


class Turn(Protocol):
    """What somebody who waits is told by."""

    def done(self) -> bool:
        """Return whether there is nobody to tell any more: the caller hung up."""
        ...

    def set_result(self, result: None, /) -> None:
        """It has its turn."""
        ...

    def set_exception(self, exception: Refused, /) -> None:
        """It is turned away."""
        ...


@dataclass(slots=True, eq=False)
class Ticket:
    """A request at the door.

    Attributes:
        priority: who goes first.
        deadline: monotonic seconds after which its answer is worth nothing.
        arrived: when it came, likewise.
        turn: told when it has its turn, or is turned away, after it waited; an `asyncio.Future` on an event loop.
        waits: whether it is in the queue.
        finished: whether it is answered and has its slot until the loop has turned.
    """

    priority: Priority
    deadline: float
    arrived: float
    turn: Turn | None = None
    waits: bool = False
    finished: bool = False


class Admission:
    """The door of one server.

    Attributes:
        answering: slots that are taken.
        finished: of these, by requests that are answered and leave at the next turn; they are no more inside.
        waiting: requests that wait for their turn.
        admitted, expired, abandoned: requests that had their turn; whose deadline passed while they waited; whose
            caller hung up meanwhile.
        shed: requests turned away, by priority.
    """

    def __init__(self, limit: ConcurrencyLimit, *, slots: int = 1, retry_after: RetryAfter | None = None) -> None:
        self._limit = limit
        self._slots = slots
        self._retry_after = retry_after or RetryAfter()
        self._queues: tuple[deque[Ticket], ...] = tuple(deque() for _ in Priority)
        self.answering = self.finished = self.waiting = 0
        self.admitted = self.expired = self.abandoned = 0
        self.shed = [0 for _ in Priority]

    @property
    def inside(self) -> int:
        """Requests that wait or are being answered."""
        return self.answering - self.finished + self.waiting

    @property
    def limit(self) -> int:
        """How many may be inside now."""
        return self._limit.limit

    def arrive(self, ticket: Ticket, now: float) -> bool:
        """Return whether it is the turn of *ticket* at once; otherwise it waits, or has made another one's room.

        Raises:
            Refused: 503, there is no room; 504, its deadline is past.
        """
        if now >= ticket.deadline:
            self.expired += 1
            raise _expired()
        if self.inside >= self._limit.limit and not self._make_room(ticket.priority, now):
            raise self._shed_one(ticket.priority, now)
        if self.answering < self._slots and not self.waiting:
            self.answering += 1
            self.admitted += 1
            return True
        self._queues[ticket.priority].append(ticket)
        ticket.waits = True
        self.waiting += 1
        return False

    def turn_away(self, priority: Priority, now: float) -> int | None:
        """Return after how many seconds to come back where `arrive` would shed the request, which is counted as shed.

        None: it would not. For whoever can tell before it has read the request; see `orita.serving.resilience.early`.
        """
        if self.inside < self._limit.limit or any(self._queues[priority + 1 :]):
            return None
        self.shed[priority] += 1
        self._retry_after.shed(now)
        return self.retry_after(now)

    def next(self, now: float) -> Ticket | None:
        """Return whose turn it is, None where all slots are taken or nobody waits; the expired are dropped."""
        while self.waiting and self.answering < self._slots:
            ticket = next(queue for queue in self._queues if queue).popleft()
            if self._lets_in(ticket, now):
                return ticket
        return None

    def next_beside(self, now: float, goes_along: Callable[[Ticket], bool]) -> Ticket | None:
        """Return who is next where that one *goes_along* with who has its turn, in a slot beside; None where not."""
        while self.waiting:
            queue = next(queue for queue in self._queues if queue)
            if not goes_along(queue[0]):
                return None
            if self._lets_in(ticket := queue.popleft(), now):
                return ticket
        return None

    def finish(self, ticket: Ticket) -> None:
        """Count *ticket*, which is answered, as outside: its caller may ask again before the slot is free."""
        ticket.finished = True
        self.finished += 1

    def leave(self, ticket: Ticket, now: float, *, answered: bool = True) -> None:
        """Take back the slot of *ticket*; only what was *answered* says something of latency."""
        if answered:
            self._limit.observe(now, now - ticket.arrived, self.answering + self.waiting)
            self._retry_after.answered(now)
        self.answering -= 1
        self.finished -= ticket.finished

    def abandon(self, ticket: Ticket) -> None:
        """Forget a ticket that waits: its caller hung up."""
        if ticket.waits:
            self._queues[ticket.priority].remove(ticket)
            self._is_gone(ticket)

    def retry_after(self, now: float) -> int:
        """Return seconds after which a request that is turned away now should come back."""
        return self._retry_after.seconds(now, self.inside)

    def _make_room(self, priority: Priority, now: float) -> bool:
        """Turn away the newest request of the lowest priority below *priority*; return whether there was one."""
        for lower in range(len(self._queues) - 1, priority, -1):
            if self._queues[lower]:
                ticket = self._queues[lower].pop()
                if not self._is_gone(ticket):
                    _tell(ticket, self._shed_one(ticket.priority, now))
                return True
        return False

    def _lets_in(self, ticket: Ticket, now: float) -> bool:
        """Let in a ticket that waited; return whether there was somebody to let in, and in time."""
        if self._is_gone(ticket):
            return False
        if now < ticket.deadline:
            self.answering += 1
            self.admitted += 1
            return True
        self.expired += 1
        self._limit.observe(now, now - ticket.arrived, self.answering + self.waiting + 1, expired=True)
        _tell(ticket, _expired())
        return False

    def _is_gone(self, ticket: Ticket) -> bool:
        """Take *ticket* off the count of those who wait; return whether its caller hung up meanwhile."""
        ticket.waits = False
        self.waiting -= 1
        gone = ticket.turn is not None and ticket.turn.done()
        self.abandoned += gone
        return gone

    def _shed_one(self, priority: Priority, now: float) -> Refused:
        self.shed[priority] += 1
        self._retry_after.shed(now)
        return overloaded(self.retry_after(now))


def overloaded(seconds: int) -> Refused:
    """Return the refusal of a server that has no room, to come back after *seconds*."""
    message = "the server is busy and has no room for this request: send it again after the time in Retry-After."
    return Refused(503, "overloaded", message, retry_after=seconds)


def _tell(ticket: Ticket, refused: Refused) -> None:
    if ticket.turn is not None:
        ticket.turn.set_exception(refused)


def _expired() -> Refused:
    message = "the deadline of the request passed while it waited: the server is busy, send it again later."
    return Refused(504, "deadline_exceeded", message)
