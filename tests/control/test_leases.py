"""One acts at a time, in both databases; who was away too long is refused in the transaction in which it would act."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.control.counters import COUNTER, Counter

from orita.control.aggregates import Aggregates
from orita.control.events import ControlLog
from orita.control.leases import Acting, Lease, LeaseLost, Leases
from orita.core.clock import ManualClock, SystemClock

AT = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    """Return the time, which all share."""
    return ManualClock(AT)


@pytest.fixture
def leases(where: Path | str, clock: ManualClock) -> Leases:
    """Return the leases of an empty home."""
    return Leases(where, clock=clock)


def count(where: Path | str, lease: Lease | None) -> None:
    """Decide something under a lease."""
    counters: Aggregates[Counter] = Aggregates(ControlLog(where, clock=ManualClock(AT)), COUNTER)
    with counters.changing("a", lease=lease) as change:
        change.record("added", {"by": 1}, actor="controller", reason="")


def test_one_has_it_until_it_is_over(leases: Leases, clock: ManualClock) -> None:
    """Others get none before; then the next has a greater token, and the one before cannot renew."""
    first = leases.take("rollouts", "a", 10)
    assert first == Lease("rollouts", "a", 1, AT + timedelta(seconds=10))
    assert leases.take("rollouts", "b", 10) is None
    assert leases.holder("rollouts") == "a"
    clock.advance(timedelta(seconds=9))
    renewed = leases.renew(first, 10)
    assert renewed.token == 1
    clock.advance(timedelta(seconds=9))
    assert leases.take("rollouts", "b", 10) is None
    clock.advance(timedelta(seconds=1))
    assert leases.holder("rollouts") is None
    second = leases.take("rollouts", "b", 10)
    assert second is not None
    assert second.token == 2
    with pytest.raises(LeaseLost, match="the lease 'rollouts' of 'a' is over, 'b' has it now"):
        leases.renew(renewed, 10)
    assert leases.take("rollouts", "b", 10) is None, "two processes of one name do not both act"
    assert leases.take("other", "a", 10) is not None


def test_what_the_holder_says(leases: Leases, clock: ManualClock) -> None:
    """It stays while the lease is renewed, and goes with it; whoever lost the lease says nothing more."""
    lease = leases.take("rollouts", "a", 10)
    assert lease is not None
    assert leases.acting("rollouts") == Acting("a", None)
    leases.tell(lease, "no disk")
    lease = leases.renew(lease, 20)
    assert leases.acting("rollouts") == Acting("a", "no disk")
    leases.tell(lease, None)
    assert leases.acting("rollouts") == Acting("a", None)
    leases.tell(lease, "no disk")
    clock.advance(timedelta(seconds=20))
    assert leases.acting("rollouts") is None
    assert leases.take("rollouts", "b", 10) is not None
    assert leases.acting("rollouts") == Acting("b", None)
    with pytest.raises(LeaseLost):
        leases.tell(lease, "late")
    assert leases.acting("rollouts") == Acting("b", None)


def test_it_can_be_given_back(leases: Leases) -> None:
    """The next need not wait; giving back what somebody else has by now changes nothing."""
    first = leases.take("rollouts", "a", 10)
    assert first is not None
    leases.release(first)
    assert leases.holder("rollouts") is None
    second = leases.take("rollouts", "b", 10)
    assert second is not None
    assert second.token == 2
    leases.release(first)
    assert leases.holder("rollouts") == "b"
    with pytest.raises(LeaseLost):
        leases.renew(first, 10)


def test_who_was_away_cannot_act(where: Path | str, leases: Leases, clock: ManualClock) -> None:
    """A decision under a lease that somebody else took is not made; under one that ran out and nobody took, it is."""
    first = leases.take("rollouts", "a", 10)
    count(where, first)
    clock.advance(timedelta(minutes=1))
    count(where, first)
    second = leases.take("rollouts", "b", 10)
    with pytest.raises(LeaseLost):
        count(where, first)
    count(where, second)
    assert len(ControlLog(where).events("counter", "a")) == 3


def test_two_clocks_do_not_let_two_act(where: Path | str, leases: Leases, clock: ManualClock) -> None:
    """Whoever took a lease early, by a clock a minute ahead, acts; the one before is refused, and takes none back."""
    first = leases.take("rollouts", "a", 10)
    count(where, first)
    second = Leases(where, clock=ManualClock(AT + timedelta(minutes=1))).take("rollouts", "b", 10)
    with pytest.raises(LeaseLost):
        count(where, first)
    count(where, second)
    assert leases.take("rollouts", "a", 10) is None
    assert len(ControlLog(where).events("counter", "a")) == 2


@pytest.mark.parametrize("hours", [-1, 1])
def test_clocks_of_machines_do_not_decide(empty_database: str, hours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where machines share a server, its clock tells when a lease is over, whatever theirs say."""
    true = SystemClock.now
    first = Leases(empty_database, clock=SystemClock()).take("rollouts", "a", 600)
    assert first is not None
    monkeypatch.setattr(SystemClock, "now", lambda self: true(self) + timedelta(hours=hours))
    other = Leases(empty_database)
    assert other.take("rollouts", "b", 600) is None
    assert other.holder("rollouts") == "a"
    other.renew(first, 0)
    assert other.holder("rollouts") is None
    assert other.take("rollouts", "b", 600) is not None


def test_of_many_one_gets_it(where: Path | str) -> None:
    """Whoever asks at the same time: one has it."""
    got: list[Lease | None] = []
    threads = [
        threading.Thread(target=lambda n=n: got.append(Leases(where, clock=ManualClock(AT)).take("x", f"c{n}", 60)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([lease for lease in got if lease is not None]) == 1
    assert len(got) == 8
