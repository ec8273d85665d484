"""Two simulated servers under an open loop: callers come at their own rate, whatever becomes of those before them.

*Loop* is one thread that reads its sockets, refuses (which costs it time too), and answers one request a turn. *Pool*
is something behind the door that answers several at once and lets the others wait where the door cannot see it. Time is
simulated, so that the same seed gives the same answer on any machine. Times are in seconds, and the door is asked as
`orita.serving.resilience.turnstile.Turnstile` asks it.

    outcome = simulate_loop(Admission(BudgetLimit(0.010)), load=2.0)
    outcome.goodput, outcome.p99
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from orita.serving.http.refusal import Refused
from orita.serving.resilience.admission import Ticket
from orita.serving.resilience.contracts import Priority

__all__ = ["Door", "Outcome", "ideal_goodput", "simulate_loop", "simulate_pool"]

SERVICE = 0.0004
"""Mean seconds of an answer, unless told otherwise: lognormal with σ = 0.5."""
REFUSAL = 0.05
"""What a refusal costs, as a share of an answer."""
DEADLINE = 0.05
"""An answer later than this is worth nothing, likewise."""
_NORMAL = (Priority.NORMAL,)


class Door(Protocol):
    """What is simulated; see `orita.serving.resilience.admission.Admission`."""

    def arrive(self, ticket: Ticket, now: float, /) -> bool:
        """Return whether *ticket* has its turn at once; raises `Refused`."""
        ...

    def next(self, now: float, /) -> Ticket | None:
        """Return whose turn it is."""
        ...

    def leave(self, ticket: Ticket, now: float, /) -> None:
        """Take back the slot of *ticket*."""
        ...


@dataclass(slots=True)
class Outcome:
    """What became of the requests.

    Attributes:
        capacity: requests a second that the server can answer at most.
        seconds: how long callers came.
        deadline: seconds after which an answer is worth nothing.
        offered, refused: how many came, how many were turned away.
        latencies: seconds of each answer, by priority.
        retry_after: the answers to those turned away.
    """

    capacity: float
    seconds: float
    deadline: float = DEADLINE
    offered: int = 0
    refused: int = 0
    latencies: dict[Priority, list[float]] = field(default_factory=lambda: {p: [] for p in Priority})
    retry_after: list[int] = field(default_factory=list)

    @property
    def goodput(self) -> float:
        """Answers in time, as a share of what the server can answer at most."""
        in_time = sum(latency <= self.deadline for latencies in self.latencies.values() for latency in latencies)
        return in_time / self.seconds / self.capacity

    @property
    def p99(self) -> float:
        """The 99th percentile of the latency of answers, in seconds."""
        every = sorted(latency for latencies in self.latencies.values() for latency in latencies)
        return every[int(0.99 * (len(every) - 1))]

    def refuse(self, refused: Refused) -> None:
        """Count a request that was turned away."""
        self.refused += 1
        if refused.retry_after is not None:
            self.retry_after.append(refused.retry_after)


@dataclass(slots=True)
class _Turn:
    """Tells the outcome that somebody who waited is turned away."""

    outcome: Outcome

    def done(self) -> bool:
        return False

    def set_result(self, result: None, /) -> None:
        raise AssertionError("the simulation is told by next")

    def set_exception(self, exception: Refused, /) -> None:
        self.outcome.refuse(exception)


def ideal_goodput(load: float, refusal: float = REFUSAL) -> float:
    """Return the goodput of a shedder that refuses exactly what the loop cannot answer; each refusal has its cost."""
    return min(load, max(1 - load * refusal, 0) / (1 - refusal))


def simulate_loop(
    door: Door,
    load: float,
    *,
    seconds: float = 5.0,
    seed: int = 1,
    service: float = SERVICE,
    deadline: float = DEADLINE,
    slow: tuple[float, float, float] = (0.0, 0.0, 1.0),
    stalls: tuple[float, float] = (1.0, 0.0),
    priorities: tuple[Priority, ...] = _NORMAL,
) -> Outcome:
    """Return what becomes of *load* times the capacity of one thread.

    Args:
        door: who is let in.
        load: offered, as a multiple of what can be answered.
        seconds: how long callers come.
        seed: of arrivals and service times.
        service: mean seconds of an answer.
        deadline: seconds that callers wait.
        slow: from when to when, in seconds, answers take how many times as long.
        stalls: every so many seconds the thread is held up for so many: by another process, by the disk.
        priorities: drawn from evenly.
    """
    random, outcome, now = Random(seed), Outcome(1 / service, seconds, deadline), 0.0
    coming = random.expovariate(load / service)
    turn: Ticket | None = None
    came: dict[Ticket, float] = {}
    while coming < seconds or turn is not None:
        now += max(0.0, stalls[1] - now % stalls[0])
        seen = now  # the loop looks at its sockets; where nobody waits it sleeps until somebody comes
        while coming < seconds and (coming <= seen or turn is None):
            now, refused = max(now, coming), outcome.refused
            ticket = Ticket(random.choice(priorities), coming + deadline, max(seen, coming), _Turn(outcome))
            came[ticket] = coming
            turn = ticket if _let_in(door, ticket, now, outcome) else turn
            now += (outcome.refused - refused) * service * REFUSAL
            coming += random.expovariate(load / service)
        if turn is None:
            break
        now += _service(random, service) * (slow[2] if slow[0] <= now < slow[1] else 1)
        outcome.latencies[turn.priority].append(now - came.pop(turn))
        door.leave(turn, now)
        refused = outcome.refused
        turn = door.next(now)
        now += (outcome.refused - refused) * service * REFUSAL
    return outcome


def simulate_pool(
    door: Door, load: float, *, servers: int = 8, service: float = 0.004, seconds: float = 20.0, seed: int = 1
) -> Outcome:
    """Return what becomes of *load* times the capacity of *servers* that answer in *service* seconds, behind *door*."""
    random = Random(seed)
    outcome = Outcome(servers / service, seconds)
    free = [0.0] * servers
    leaving: list[tuple[float, int, Ticket, float]] = []
    coming = random.expovariate(load * outcome.capacity)
    while coming < seconds:
        while leaving and leaving[0][0] <= coming:
            left, _, ticket, arrived = heapq.heappop(leaving)
            outcome.latencies[ticket.priority].append(left - arrived)
            door.leave(ticket, left)
        ticket = Ticket(Priority.NORMAL, coming + DEADLINE, coming, _Turn(outcome))
        if _let_in(door, ticket, coming, outcome):
            ends = max(coming, heapq.heappop(free)) + _service(random, service)
            heapq.heappush(free, ends)
            heapq.heappush(leaving, (ends, outcome.offered, ticket, coming))
        coming += random.expovariate(load * outcome.capacity)
    return outcome


def _let_in(door: Door, ticket: Ticket, now: float, outcome: Outcome) -> bool:
    outcome.offered += 1
    try:
        return door.arrive(ticket, now)
    except Refused as refused:
        outcome.refuse(refused)
        return False


def _service(random: Random, mean: float) -> float:
    return mean * random.lognormvariate(-0.125, 0.5)
