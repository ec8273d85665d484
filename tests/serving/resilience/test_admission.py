"""Who is let in: under no load everybody, under too much those who go first, and in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from orita.core.clock import SystemClock
from orita.serving.http.refusal import Refused
from orita.serving.resilience.admission import Admission, Ticket
from orita.serving.resilience.contracts import Priority
from orita.serving.resilience.limit import BudgetLimit
from orita.serving.resilience.retry_after import RetryAfter
from orita.serving.resilience.turnstile import Turnstile
from orita.testing.open_loop import DEADLINE, ideal_goodput, simulate_loop, simulate_pool

FOREVER = float("inf")


class Fixed:
    """A limit that stays."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def observe(self, now: float, latency: float, inside: int, /, *, expired: bool = False) -> None:
        """Learn nothing."""


def door(limit: int = 3, slots: int = 1) -> Admission:
    """Return a door with a fixed limit."""
    return Admission(Fixed(limit), slots=slots, retry_after=RetryAfter(seed=1))


def ticket(priority: Priority = Priority.NORMAL, deadline: float = FOREVER) -> Ticket:
    """Return a ticket of who came at 0."""
    return Ticket(priority, deadline, 0.0)


@pytest.mark.parametrize("load", [0.5, 1.0, 2.0, 10.0])
def test_one_thread_answers_what_an_ideal_shedder_would(load: float) -> None:
    """In an open loop goodput is at least 96 % of the ideal shedder's, and whoever is let in has a p99 under 50 ms."""
    outcome = simulate_loop(Admission(BudgetLimit(0.010)), load, seconds=4.0 if load < 10 else 1.5)
    assert outcome.goodput >= 0.96 * ideal_goodput(load)
    assert outcome.p99 <= DEADLINE


def test_twice_the_load_costs_a_tenth_at_most() -> None:
    """At twice its capacity a thread answers at least 90 % of it in time, refusals included."""
    outcome = simulate_loop(Admission(BudgetLimit(0.010)), 2.0, seconds=4.0)
    assert outcome.goodput >= 0.90
    assert outcome.refused > 0.4 * outcome.offered
    assert len(outcome.retry_after) == outcome.refused, "every refusal says when to come back"


@pytest.mark.parametrize("service", [0.004, 0.020])
def test_a_pool_of_unknown_size_is_found_out(service: float) -> None:
    """What waits behind the door is inferred from latency: goodput stays, p99 stays within the budget's reach.

    Over 20 seeds eight servers of 20 ms have a goodput of 0.80 ± 0.08, a mean of four thus ± 0.04: 0.70 is 2.5 of these
    below. Of 4 ms it is 1.00 ± 0.003.
    """
    outcomes = [
        simulate_pool(Admission(BudgetLimit(0.010), slots=1_000_000), 2.0, service=service, seconds=15.0, seed=seed)
        for seed in range(4)
    ]
    assert sum(outcome.goodput for outcome in outcomes) / len(outcomes) >= (0.95 if service < 0.01 else 0.70)
    assert all(outcome.p99 <= 0.010 * 4 / 3 + 4.5 * service for outcome in outcomes)


def test_without_a_limit_the_same_load_ruins_the_server() -> None:
    """The simulation can fail: with room for a thousand, twice the load leaves less than a third of the goodput."""
    assert simulate_loop(Admission(Fixed(1000)), 2.0, seconds=2.0).goodput < 0.5


def test_a_slow_spell_is_survived() -> None:
    """While answers take three times as long the limit shrinks, and afterwards everybody is let in again."""
    limit = BudgetLimit(0.010)
    outcome = simulate_loop(Admission(limit), 0.7, seconds=8.0, slow=(2.0, 5.0, 3.0))
    ideal = (5 * 0.7 + 3 * ideal_goodput(2.1) / 3) / 8
    assert outcome.goodput >= 0.93 * ideal
    assert outcome.p99 <= DEADLINE


@pytest.mark.parametrize(("service", "deadline", "least"), [(0.2, 1.0, 0.80), (0.02, 0.25, 0.85), (0.005, 0.05, 0.70)])
def test_slow_models_and_short_deadlines_have_a_limit(service: float, deadline: float, least: float) -> None:
    """Deadlines keep few inside a slow server; it turns callers away all the same, before they wait in vain.

    Of three seeds the goodput at twice the load is 0.90, 0.92 and 0.84; where the limit learned only from answers, and
    only where half of it was used, it was 0.26, 0.48 and 0.39.
    """
    admission = Admission(BudgetLimit(0.015, least=16))
    outcome = simulate_loop(admission, 2.0, seconds=2000 * service, service=service, deadline=deadline)
    assert outcome.goodput >= least
    assert admission.expired <= 0.05 * outcome.offered


def test_a_slow_server_that_is_hardly_used_shrinks_its_limit() -> None:
    """One caller at a time, answered late, says enough: two or three may be inside, not 16."""
    limit = BudgetLimit(0.015, least=16)
    for step in range(1, 200):
        limit.observe(step * 0.2, 0.2, 1)
    assert limit.limit == 32, "an idle server of 200 ms is within its budget"
    for step in range(200, 400):
        limit.observe(step * 0.2, 0.6, 3)
    assert limit.limit <= 3


def test_a_quick_server_keeps_its_least_through_a_stall() -> None:
    """A window held up for 100 ms does not turn away the next 16 callers: the server was quick a moment ago."""
    limit = BudgetLimit(0.015, least=16)
    for step in range(1000):
        stalled = step % 100 >= 80
        limit.observe(step * 0.01, 0.1 if stalled else 0.0005, 3 if stalled else 1)
        assert limit.limit >= 16


def test_who_expires_is_seen_by_the_limit_and_is_no_answer() -> None:
    """A ticket whose deadline passes while it waits tells how long it waited; `Retry-After` does not count it."""
    seen: list[tuple[float, int, bool]] = []

    class Keeps(Fixed):
        def observe(self, now: float, latency: float, inside: int, /, *, expired: bool = False) -> None:
            seen.append((latency, inside, expired))

    answers: list[float] = []

    class Counts(RetryAfter):
        def answered(self, now: float) -> None:
            answers.append(now)

    admission = Admission(Keeps(5), retry_after=Counts())
    first = ticket()
    for one in (first, ticket(deadline=1.0), ticket(deadline=2.0)):
        admission.arrive(one, 0.0)
    admission.leave(first, 3.0)
    assert admission.next(3.0) is None
    assert seen == [(3.0, 3, False), (3.0, 2, True), (3.0, 1, True)]
    assert answers == [3.0]


def test_low_priorities_are_shed_first() -> None:
    """With a third of each at 2 × the load, nearly all critical requests are answered, and hardly a low one."""
    outcome = simulate_loop(Admission(BudgetLimit(0.010)), 2.0, seconds=3.0, priorities=tuple(Priority))
    answered = {priority: len(latencies) for priority, latencies in outcome.latencies.items()}
    third = outcome.offered / 3
    assert answered[Priority.CRITICAL] > 0.96 * third  # as many are drawn, give or take 1.2 %: three times that
    assert answered[Priority.LOW] < 0.1 * third


def test_an_idle_server_keeps_its_limit() -> None:
    """Where the limit is not used it does not grow, however fast the answers are."""
    limit = BudgetLimit(0.010, initial=20)
    for step in range(10_000):
        limit.observe(step * 0.01, 0.001, 1)
    assert limit.limit <= 20


def test_between_two_crowds_the_limit_does_not_grow() -> None:
    """Callers who are always inside, fewer than may be, say how many are answered in the budget, and no more."""
    limit = BudgetLimit(0.015, initial=16)
    for step in range(10_000):  # one server of 1 ms with ten callers, each of whom asks again at once
        limit.observe(step * 0.001, 0.010, 10)
    assert limit.limit <= 25  # the shortest time seen is that of ten: (10 + 15) ms of 1 ms each


def test_the_limit_does_not_run_away_under_lasting_overload() -> None:
    """After three minutes that were never idle the limit is at most a third above the one that keeps the budget."""
    limit, now, random = BudgetLimit(0.010), 0.0, Random(3)
    seen = []
    for _ in range(100_000):  # one server of 2 ms that always has as many inside as are allowed
        now += 0.002
        limit.observe(now, limit.limit * 0.002 * random.uniform(0.9, 1.1), limit.limit)
        seen.append(limit.limit)
    right = (0.002 + 0.010) / 0.002  # as many as are answered within the budget beyond one answer
    assert right <= sorted(seen)[len(seen) // 2]
    assert max(seen[20_000:]) <= round(right * 4 / 3)


def test_the_order_is_by_priority_then_by_arrival() -> None:
    """Whoever waits goes by priority, and within it first come, first served."""
    admission = door(limit=9)
    first = ticket()
    assert admission.arrive(first, 0.0)
    waiting = [ticket(priority) for priority in (Priority.LOW, Priority.NORMAL, Priority.CRITICAL, Priority.NORMAL)]
    for one in waiting:
        assert not admission.arrive(one, 0.0)
    order, at = [], first
    for now in range(1, 5):
        admission.leave(at, float(now))
        turn = admission.next(float(now))
        assert turn is not None
        order.append(waiting.index(turn))
        at = turn
    assert order == [2, 1, 3, 0]


def test_a_higher_priority_takes_the_room_of_the_newest_lower_one() -> None:
    """Only the waiting make room, the newest of the lowest first; an equal priority does not."""
    admission = door(limit=3)
    admission.arrive(ticket(), 0.0)
    low, later = ticket(Priority.LOW), ticket(Priority.LOW)
    admission.arrive(low, 0.0)
    admission.arrive(later, 0.0)
    with pytest.raises(Refused):
        admission.arrive(ticket(Priority.LOW), 0.0)
    assert not admission.arrive(ticket(Priority.CRITICAL), 0.0)
    assert (low.waits, later.waits, admission.inside) == (True, False, 3)
    assert admission.shed == [0, 0, 2]


def test_the_expired_never_get_a_turn() -> None:
    """Who comes too late is refused at the door, who waited too long when the turn comes, and the next one goes."""
    admission = door(limit=5)
    first, late, patient = ticket(), ticket(deadline=1.0), ticket(deadline=9.0)
    for one in (first, late, patient):
        admission.arrive(one, 0.0)
    admission.leave(first, 2.0)
    assert admission.next(2.0) is patient
    with pytest.raises(Refused) as refused:
        admission.arrive(ticket(deadline=2.0), 2.0)
    assert refused.value.status == 504
    assert (admission.expired, admission.inside) == (2, 1)


def test_retry_after_grows_with_what_was_turned_away() -> None:
    """At ten times the load callers come back over at least nine seconds; an idle server says one."""
    backlog = RetryAfter(seed=2)
    assert backlog.seconds(0.0, 0) == 1
    for second in range(3):
        for n in range(100):
            backlog.answered(second + n / 200)
        for n in range(900):
            backlog.shed(second + n / 1000)
    times = [backlog.seconds(2.95, 10) for _ in range(200)]
    assert min(times) >= 9
    assert max(times) <= 20
    assert len(set(times)) > 5, "callers must not come back all at once"


def test_retry_after_is_bounded() -> None:
    """A server that answers nothing still names a bounded time."""
    backlog = RetryAfter(most=30)
    for _ in range(10_000):
        backlog.shed(0.5)
    assert backlog.seconds(0.6, 1000) == 30


def run(work: Callable[[Turnstile], Coroutine[Any, Any, None]], limit: int = 100) -> Turnstile:
    """Run *work* with a turnstile on a loop, and return it once nobody is inside."""
    turnstile = Turnstile(Admission(Fixed(limit), retry_after=RetryAfter(seed=1)), SystemClock())
    asyncio.run(work(turnstile))
    assert turnstile.admission.inside == 0, "a slot was not given back"
    return turnstile


async def asked(turnstile: Turnstile, done: list[str], name: str, priority: Priority = Priority.NORMAL) -> None:
    """Go through the turnstile and tell *done* of it."""
    ticket = await turnstile.enter(priority, FOREVER, 0.0)
    try:
        done.append(name)
    finally:
        turnstile.leave(ticket)


def test_one_request_a_turn_of_the_loop() -> None:
    """Of requests that a loop finds at once the first goes first, the others by priority."""
    done: list[str] = []

    async def work(turnstile: Turnstile) -> None:
        names = [("a", Priority.LOW), ("b", Priority.LOW), ("c", Priority.NORMAL), ("d", Priority.CRITICAL)]
        await asyncio.gather(*(asked(turnstile, done, *one) for one in names))
        await asyncio.sleep(0)

    run(work)
    assert done == ["a", "d", "c", "b"]


def test_whoever_has_no_room_is_told_at_once() -> None:
    """Past the limit a request gets 503 with a time; the first is answered before the others come."""
    done: list[str] = []

    async def work(turnstile: Turnstile) -> None:
        outcomes = await asyncio.gather(*(asked(turnstile, done, str(n)) for n in range(10)), return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
        assert [one.status for one in refused] == [503] * 5
        assert all(one.retry_after for one in refused)
        await asyncio.sleep(0)

    assert run(work, limit=4).admission.admitted == 5
    assert done == ["0", "1", "2", "3", "4"]


def test_as_many_callers_as_there_is_room_for_are_never_turned_away() -> None:
    """Who has its answer and asks again at once finds the room that it had, before the loop has turned."""
    done: list[str] = []

    async def work(turnstile: Turnstile) -> None:
        def ask(name: str, then: str | None = None) -> None:
            def answer() -> bool:
                done.append(name)
                if then is not None:  # the caller has the answer, and the next request is there
                    asyncio.get_running_loop().call_soon(ask, then)
                return True

            now = SystemClock().monotonic()
            turnstile.go(Priority.NORMAL, FOREVER, now, answer, lambda _: done.append("refused"), lambda: False)

        for name in ("a", "b", "c"):
            ask(name, then=name.upper())
        for _ in range(10):
            await asyncio.sleep(0)

    run(work, limit=3)
    assert sorted(done) == ["A", "B", "C", "a", "b", "c"]


def test_a_caller_who_hangs_up_gives_the_room_back() -> None:
    """Cancelling while waiting, and in the very moment of the turn, leaves no slot taken."""
    done: list[str] = []

    async def work(turnstile: Turnstile) -> None:
        first = await turnstile.enter(Priority.NORMAL, FOREVER, 0.0)
        waiting = [asyncio.create_task(asked(turnstile, done, str(n))) for n in range(4)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        turnstile.leave(first)
        await asyncio.sleep(0)  # the turn of the second has come, and it has not run yet
        waiting[1].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.sleep(0.001)

    assert run(work).admission.abandoned == 1
    assert done == ["2", "3"]


def test_calls_are_made_in_turn() -> None:
    """Answers within a call: the first at once, the others one a turn by priority, an event of the loop between two.

    Whoever has hung up is not answered, whoever has no room is refused at once, and an answer that raises leaves its
    slot all the same.
    """
    done: list[str] = []
    failures: list[BaseException] = []

    def answer(name: str) -> Callable[[], bool]:
        def answered() -> bool:
            done.append(name)
            asyncio.get_running_loop().call_soon(done.append, "·")
            if name == "broken":
                raise ValueError(name)
            return True

        return answered

    async def work(turnstile: Turnstile) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
        refused: list[Refused] = []
        for name, priority in (("first", 2), ("low", 2), ("gone", 1), ("broken", 1), ("high", 0), ("lower", 2)):
            gone = name == "gone"
            turnstile.go(
                Priority(priority),
                FOREVER,
                0.0,
                answer(name),
                refused.append,
                lambda gone=gone: gone,  # type: ignore[misc]
            )
        assert done == ["first"]
        assert [one.status for one in refused] == [503]
        await asyncio.sleep(0.01)
        turnstile.go(Priority.NORMAL, 0.0, 0.0, answer("late"), refused.append, lambda: False)
        assert refused[-1].status == 504

    admission = run(work, limit=4).admission
    assert done == ["first", "·", "high", "·", "broken", "·", "low", "·"]
    assert [str(failure) for failure in failures] == ["broken"]
    assert (admission.admitted, admission.abandoned, sum(admission.shed)) == (4, 1, 1)


def test_storms_of_callers_leave_nothing_behind() -> None:
    """Whatever mixture of priorities, failures and hang-ups: in the end nobody is inside, and all are accounted for."""
    random, outcomes = Random(5), []

    async def one(turnstile: Turnstile) -> None:
        deadline = SystemClock().monotonic() + random.choice([0.0, 0.002, 5.0])
        ticket = await turnstile.enter(random.choice(list(Priority)), deadline, SystemClock().monotonic())
        try:
            if random.random() < 0.2:
                await asyncio.sleep(0.001)
        finally:
            turnstile.leave(ticket, answered=random.random() < 0.8)

    async def work(turnstile: Turnstile) -> None:
        tasks = []
        for _ in range(1500):
            tasks.append(asyncio.create_task(one(turnstile)))
            if random.random() < 0.3:
                await asyncio.sleep(0)
            if random.random() < 0.1:
                random.choice(tasks).cancel()
        outcomes.extend(await asyncio.gather(*tasks, return_exceptions=True))
        await asyncio.sleep(0.001)

    admission = run(work, limit=40).admission
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert len(refused) <= sum(admission.shed) + admission.expired
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception) and not isinstance(outcome, Refused)]
