"""The door of an event loop: a request has its turn, the loop looks at its sockets, then the next one has.

An answer is computed without a pause, so a loop that finds a hundred requests at once would answer all of them before
it looks at the hundred-and-first, in the order of their sockets. Here a slot that was left is free again only at
the next turn of the loop: the others of this turn come to the queue, where priority, deadline and limit count, and
their waiting is measured from their own arrival. An idle request does not wait.

Whoever answers within a call hands the call over; it is made now, or when its turn comes:

    turnstile = Turnstile(Admission(BudgetLimit(config.wait_ms / 1000)), clock)
    turnstile.go(Priority.NORMAL, deadline, arrived, answer, refuse, connection.is_closing)

Those who wait and gain by company have their turn together (`Company`): up to a few of them, in the order in which they
would have come anyway, each answered and each leaving for itself.

Whoever awaits something takes a ticket, and gives it back:

    ticket = await turnstile.enter(Priority.NORMAL, deadline, arrived)      # raises Refused
    try:
        ...
    finally:
        turnstile.leave(ticket, answered=...)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from orita.core.clock import Clock
from orita.serving.batching.contracts import Joint, Waiting
from orita.serving.http.refusal import Refused
from orita.serving.resilience.admission import Admission, Ticket, overloaded
from orita.serving.resilience.contracts import Priority

__all__ = ["Company", "Turnstile"]


class Turnstile:
    """Lets the requests of one event loop in; called by its thread only.

    Attributes:
        admission: who decides; its counters are the door's.
    """

    def __init__(self, admission: Admission, clock: Clock) -> None:
        self.admission = admission
        self._monotonic = clock.monotonic

    def go(
        self,
        priority: Priority,
        deadline: float,
        arrived: float,
        answer: Callable[[], bool],
        refuse: Callable[[Refused], None],
        is_gone: Callable[[], bool],
        company: Company | None = None,
    ) -> None:
        """Call *answer* or *refuse*: at once, or when the turn of the request comes.

        Args:
            priority: who goes first.
            deadline: monotonic seconds.
            arrived: when the request came, likewise.
            answer: answers it within the call; returns whether that says how long an answer takes: it was no error.
            refuse: told 503 with ``Retry-After`` where there is no room, 504 where the deadline is past.
            is_gone: whether the caller has hung up meanwhile; then neither is called.
            company: with whom it may have its turn, where others wait as well; None: alone.
        """
        ticket = Ticket(priority, deadline, arrived)
        try:
            at_once = self.admission.arrive(ticket, self._monotonic())
        except Refused as refused:
            refuse(refused)
            return
        if at_once:
            self._answer(ticket, answer)
        else:
            ticket.turn = _Call(self, ticket, answer, refuse, is_gone, company)

    def check_room(self, priority: Priority) -> None:
        """Do nothing where `enter` would let a request in or wait: before its body is decoded, say.

        Raises:
            Refused: 503 with ``Retry-After``, there is no room; the request counts as shed.
        """
        seconds = self.admission.turn_away(priority, self._monotonic())
        if seconds is not None:
            raise overloaded(seconds)

    async def enter(self, priority: Priority, deadline: float, arrived: float) -> Ticket:
        """Wait for the turn of a request; whoever gets a ticket gives it back by `leave`. Arguments are those of `go`.

        Raises:
            Refused: 503 with ``Retry-After``, there is no room; 504, the deadline is past.
        """
        ticket = Ticket(priority, deadline, arrived)
        if self.admission.arrive(ticket, self._monotonic()):
            return ticket
        ticket.turn = turn = asyncio.get_running_loop().create_future()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self.admission.abandon(ticket)
            elif turn.exception() is None:  # its turn had come in the same moment
                self.leave(ticket, answered=False)
            raise
        return ticket

    def leave(self, ticket: Ticket, *, answered: bool = True) -> None:
        """Give the slot back at the next turn of the loop; *answered*: it says how long an answer takes."""
        self.admission.finish(ticket)
        asyncio.get_running_loop().call_soon(self._turn, ticket, self._monotonic(), answered)

    def _answer(self, ticket: Ticket, answer: Callable[[], bool]) -> None:
        answered = False
        try:
            answered = answer()
        finally:
            self.leave(ticket, answered=answered)

    def _turn(self, ticket: Ticket, left: float, answered: bool) -> None:
        self.admission.leave(ticket, left, answered=answered)
        while self.admission.waiting and (waiting := self.admission.next(self._monotonic())) is not None:
            assert waiting.turn is not None, "only who waits on the loop is in the queue"
            if self.admission.waiting and (company := _company(waiting)) is not None:
                self._together(waiting, company)
            else:
                waiting.turn.set_result(None)

    def _together(self, first: Ticket, company: Company) -> None:
        """Give *first* its turn, and with it those that are next, as far as they are of its company."""
        tickets, joint = [first], company.joint
        while len(tickets) < joint.most:
            now = self._monotonic()
            found = self.admission.next_beside(now, lambda ticket: company.has(_company(ticket)))
            if found is None:
                break
            tickets.append(found)
        calls = [ticket.turn for ticket in tickets if isinstance(ticket.turn, _Call)]
        if len(calls) == 1:
            calls[0].set_result(None)
            return
        with joint.together([call.waiting for call in calls]), ExitStack() as answers:
            for call in reversed(calls):
                answers.callback(call.set_result, None)  # each is answered in order, whatever happens to those before


class Company(NamedTuple):
    """With whom a request may have its turn: whoever is answered by the same, and alike.

    Attributes:
        joint: does something for them together.
        alike: the same object for those who may be together.
        body: of the request.
    """

    joint: Joint
    alike: object
    body: bytes | bytearray

    def has(self, other: Company | None) -> bool:
        """Return whether *other* is of this company."""
        return other is not None and other.joint is self.joint and other.alike is self.alike


def _company(ticket: Ticket) -> Company | None:
    """Return the company of a request that waits, None where it goes alone."""
    turn = ticket.turn
    if not isinstance(turn, _Call) or turn.company is None or not turn.company.joint.takes(turn.company.body):
        return None
    return turn.company


class _Call:
    """A `Turn` of who answers within a call."""

    __slots__ = ("_answer", "_refuse", "_ticket", "_turnstile", "company", "done")

    def __init__(
        self,
        turnstile: Turnstile,
        ticket: Ticket,
        answer: Callable[[], bool],
        refuse: Callable[[Refused], None],
        is_gone: Callable[[], bool],
        company: Company | None,
    ) -> None:
        self._turnstile, self._ticket = turnstile, ticket
        self._answer, self._refuse, self.done, self.company = answer, refuse, is_gone, company

    @property
    def waiting(self) -> Waiting:
        """What is done beforehand for those who are answered together is done of this."""
        assert self.company is not None, "only who has company is asked"
        return Waiting(self.company.body, self._ticket.deadline, self._ticket.arrived, self.company.alike)

    def set_result(self, result: None, /) -> None:
        """Answer."""
        self._turnstile._answer(self._ticket, self._answer)

    def set_exception(self, exception: Refused, /) -> None:
        """Refuse."""
        self._refuse(exception)
