"""A dependency that fails is left alone, tried by one call, and taken back."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

import numpy as np
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from orita.core.clock import ManualClock
from orita.core.errors import Unavailable, UserError
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.metadata import ModelMetadata
from orita.serving.resilience.breaker import BreakerConfig, BreakerOpen, BreakerState, CircuitBreaker
from orita.serving.resilience.bulkhead import BulkheadFull
from orita.serving.resilience.guard import Guard, GuardConfig
from orita.serving.resilience.guarded import GuardedFeatures, GuardedPackage
from orita.serving.resilience.prober import probing
from orita.testing.serving import HashedFeatures, LinePackage


class Dependency:
    """Answers 7, or fails with what it is told to."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.calls = 0

    def ask(self) -> int:
        """Answer or fail."""
        self.calls += 1
        if self.error is not None:
            raise self.error
        return 7


def guard(clock: ManualClock, **settings: object) -> Guard:
    """Return the guard of a store."""
    return Guard("store", GuardConfig.model_validate(settings), clock)


def state(guarded: Guard) -> BreakerState:
    """Return the state as it is now; asked by a function, for a type checker takes an attribute to stay."""
    return guarded.state.state


def fail(guarded: Guard, dependency: Dependency, times: int) -> None:
    """Let so many calls fail."""
    dependency.error = OSError("gone")
    for _ in range(times):
        with pytest.raises(OSError):
            guarded.call(dependency.ask)


def test_five_failures_open_it_for_a_minute() -> None:
    """The defaults: five failures in a row open it, sixty seconds later one call is let through and closes it."""
    clock, dependency = ManualClock(), Dependency()
    guarded = guard(clock)
    fail(guarded, dependency, 4)
    assert state(guarded) is BreakerState.CLOSED
    fail(guarded, dependency, 1)
    assert state(guarded) is BreakerState.OPEN
    dependency.error = None
    clock.advance(timedelta(seconds=59.9))
    with pytest.raises(BreakerOpen, match="store"):
        guarded.call(dependency.ask)
    assert dependency.calls == 5, "an open breaker lets nothing through"
    clock.advance(timedelta(seconds=0.2))
    assert state(guarded) is BreakerState.HALF_OPEN
    assert guarded.call(dependency.ask) == 7
    assert state(guarded) is BreakerState.CLOSED
    assert (guarded.state.opened, guarded.state.refused) == (1, 1)


def test_a_success_between_failures_starts_the_count_anew() -> None:
    """Only failures in a row open it."""
    clock, dependency = ManualClock(), Dependency()
    guarded = guard(clock)
    for _ in range(3):
        fail(guarded, dependency, 4)
        dependency.error = None
        guarded.call(dependency.ask)
    assert state(guarded) is BreakerState.CLOSED


def test_a_failed_trial_opens_it_again() -> None:
    """From half open one failure suffices, and another minute begins."""
    clock, dependency = ManualClock(), Dependency()
    guarded = guard(clock)
    fail(guarded, dependency, 5)
    clock.advance(timedelta(seconds=60))
    fail(guarded, dependency, 1)
    clock.advance(timedelta(seconds=59))
    with pytest.raises(BreakerOpen):
        guarded.call(dependency.ask)


def test_late_calls_say_nothing_of_today() -> None:
    """Calls that began before the breaker opened neither close nor open it, whenever they end."""
    clock = ManualClock()
    breaker = CircuitBreaker("store", BreakerConfig(failures=2, seconds=5), clock)
    eras = [breaker.enter() for _ in range(5)]
    breaker.failed(eras[0])
    breaker.failed(eras[1])
    clock.advance(timedelta(seconds=5))
    assert breaker.state is BreakerState.HALF_OPEN
    trial = breaker.enter()
    breaker.succeeded(eras[2])
    breaker.failed(eras[3])
    breaker.given_up(eras[4])
    assert breaker.state is BreakerState.HALF_OPEN
    with pytest.raises(BreakerOpen):
        breaker.enter()
    breaker.succeeded(trial)
    assert breaker.state.value == "CLOSED"


def test_a_share_of_failures_opens_it_too() -> None:
    """With a rate set, half of twenty calls that fail within the window open it, though never five in a row."""
    clock, dependency = ManualClock(), Dependency()
    guarded = guard(clock, failure_rate=0.5, window_seconds=10, least_calls=20)
    for n in range(20):
        assert state(guarded) is BreakerState.CLOSED
        dependency.error = OSError("gone") if n % 2 else None
        with suppress(OSError):
            guarded.call(dependency.ask)
        clock.advance(timedelta(seconds=0.4))
    assert state(guarded) is BreakerState.OPEN


def test_old_failures_are_forgotten() -> None:
    """The same calls over a longer time than the window do not open it."""
    clock, dependency = ManualClock(), Dependency()
    guarded = guard(clock, failure_rate=0.5, window_seconds=10, least_calls=20)
    for n in range(100):
        dependency.error = OSError("gone") if n % 2 else None
        with suppress(OSError):
            guarded.call(dependency.ask)
        clock.advance(timedelta(seconds=0.6))
    assert state(guarded) is BreakerState.CLOSED


def test_slow_answers_count_as_failures() -> None:
    """An answer slower than allowed is given, and counts against the dependency."""
    clock = ManualClock()
    guarded = guard(clock, slow_ms=100, failures=2)

    def slow() -> int:
        clock.advance(timedelta(milliseconds=150))
        return 7

    assert [guarded.call(slow), guarded.call(slow)] == [7, 7]
    assert state(guarded) is BreakerState.OPEN


def test_what_the_caller_did_wrong_opens_nothing() -> None:
    """A user's error passes, counts for neither side, and gives the place of a trial back."""
    clock, dependency = ManualClock(), Dependency()
    guarded = guard(clock)
    fail(guarded, dependency, 5)
    clock.advance(timedelta(seconds=60))
    dependency.error = UserError("user_id is wrong.")
    for _ in range(9):
        with pytest.raises(UserError):
            guarded.call(dependency.ask)
    assert state(guarded) is BreakerState.HALF_OPEN
    dependency.error = None
    guarded.call(dependency.ask)
    assert state(guarded) is BreakerState.CLOSED


def test_transitions_are_told_once() -> None:
    """The log has one line for opening, however many calls are refused, and one for closing."""
    clock, dependency = ManualClock(), Dependency()
    guarded = guard(clock)
    with structlog.testing.capture_logs() as lines:
        fail(guarded, dependency, 5)
        for _ in range(100):
            with pytest.raises(BreakerOpen):
                guarded.call(dependency.ask)
        clock.advance(timedelta(seconds=60))
        fail(guarded, dependency, 1)
        clock.advance(timedelta(seconds=60))
        dependency.error = None
        guarded.call(dependency.ask)
    assert [line["event"] for line in lines] == ["breaker_opened", "breaker_closed"]


@given(st.lists(st.sampled_from(["enter", "ok", "fail", "give_up", "wait", "probe"]), max_size=120))
def test_never_two_trials_at_a_time(steps: list[str]) -> None:
    """Whatever order calls begin and end in, late ones of an earlier era included, half open lets one through."""
    clock = ManualClock()
    breaker = CircuitBreaker("store", BreakerConfig(failures=2, seconds=5), clock)
    under_way: list[tuple[int, BreakerState]] = []
    for step in steps:
        if step == "enter":
            before = breaker.state
            try:
                era = breaker.enter()
            except BreakerOpen:
                assert before is not BreakerState.CLOSED
                continue
            assert before is not BreakerState.OPEN
            under_way.append((era, before))
        elif step == "wait":
            clock.advance(timedelta(seconds=5))
        elif step == "probe":
            breaker.probed()
        elif under_way:
            era, _ = under_way.pop(len(under_way) // 2)
            {"ok": breaker.succeeded, "fail": breaker.failed, "give_up": breaker.given_up}[step](era)
        newest = max((era for era, _ in under_way), default=0)
        assert sum(era == newest and state is BreakerState.HALF_OPEN for era, state in under_way) <= 1


def test_a_bulkhead_bounds_the_calls_under_way() -> None:
    """Of ten calls at once three are made, the others are refused at once; afterwards there is room again."""
    guarded = guard(ManualClock(), most_calls=3)
    release = asyncio.Event()

    async def ask() -> int:
        await release.wait()
        return 7

    async def storm() -> list[object]:
        calls = [asyncio.create_task(guarded.run(ask, timeout=5)) for _ in range(10)]
        await asyncio.sleep(0)
        assert guarded.state.under_way == 3
        release.set()
        return await asyncio.gather(*calls, return_exceptions=True)

    outcomes = asyncio.run(storm())
    assert outcomes.count(7) == 3
    assert sum(isinstance(outcome, BulkheadFull) for outcome in outcomes) == 7
    assert (guarded.state.under_way, guarded.state.refused) == (0, 7)
    assert state(guarded) is BreakerState.CLOSED, "a full bulkhead is no failure of the dependency"


def test_a_call_that_hangs_is_cut_off() -> None:
    """Past its timeout a call is cancelled, fails with a sentence, and counts; one that is cancelled does not."""
    guarded = guard(ManualClock(), failures=1)

    async def hang() -> None:
        await asyncio.sleep(60)

    async def cancel() -> None:
        task = asyncio.create_task(guarded.run(hang, timeout=60))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancel())
    assert state(guarded) is BreakerState.CLOSED
    with pytest.raises(Unavailable, match=r"store did not answer within 0\.01 seconds"):
        asyncio.run(guarded.run(hang, timeout=0.01))
    assert state(guarded) is BreakerState.OPEN
    assert guarded.state.under_way == 0


def test_a_ping_ends_the_wait() -> None:
    """A dependency that answers a ping is tried long before the minute is over."""
    clock, dependency = ManualClock(), Dependency()
    guarded = guard(clock)
    fail(guarded, dependency, 5)
    pings = 0

    async def ping() -> None:
        nonlocal pings
        pings += 1
        if pings < 3:
            raise OSError("still gone")

    async def wait() -> None:
        async with probing(lambda: guarded, ping, seconds=0.005):
            while state(guarded) is BreakerState.OPEN:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.03)

    asyncio.run(wait())
    dependency.error = None
    assert pings == 3, "it goes on pinging only while the breaker is open"
    assert guarded.call(dependency.ask) == 7
    assert state(guarded) is BreakerState.CLOSED


def test_store_and_model_are_guarded_behind_their_protocols() -> None:
    """Readers share the store's guard, a package has its own, and both answer as what they guard does."""
    clock = ManualClock()
    schema = FeatureSchema((FeatureColumn("item_ctr", "item"),))
    plain = HashedFeatures(["item_ctr"])
    store, model = guard(clock), guard(clock, failures=1)
    reader = GuardedFeatures(plain, store).reader(schema)
    x_NF = reader.matrix(1, [1, 2], {}, 10**15)
    assert np.array_equal(x_NF, plain.reader(schema).matrix(1, [1, 2], {}, 10**15), equal_nan=True)
    card = ModelMetadata("00000000-0000-7000-8000-000000000000", "v1.0.0", "1970-01-01T00:00:00Z", "", "line")
    package = GuardedPackage(LinePackage("v1.0.0", schema, card), model)
    assert np.allclose(package.score_user(1, [1, 2], x_NF), x_NF[:, 0])
    assert (package.version, package.fault) == ("v1.0.0", "")
    with pytest.raises(AttributeError):
        package.score_user(1, [1], None)  # type: ignore[arg-type]
    assert (package.guard.state.state, store.state.state) == (BreakerState.OPEN, BreakerState.CLOSED)
