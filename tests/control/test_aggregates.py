"""State follows from events: kept beside them, made anew, as of any time, and back to that; in both databases."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.control.counters import COUNTER, Counter, add, take_away

from orita.control.aggregates import RESTORED, Aggregates, deciding
from orita.control.database import ControlDatabase
from orita.control.events import Conflict, ControlLog
from orita.control.replay import rebuild, restore, things_at
from orita.core.clock import ManualClock
from orita.core.errors import OritaError, Unavailable, UserError

AT = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)
KINDS = {"counter": COUNTER}


def counters_at(where: Path | str, clock: ManualClock | None = None, tenant: str = "default") -> Aggregates[Counter]:
    """Return the counters that are kept there."""
    return Aggregates(ControlLog(where, tenant, clock or ManualClock(AT)), COUNTER)


def totals(counters: Aggregates[Counter]) -> dict[str, int]:
    """Return how far each counter is."""
    return {name: held.state.total for name, held in counters.all().items()}


def test_a_thing_is_what_its_events_say(where: Path | str) -> None:
    """State, version and history agree; what was taken away is not there, and its history is."""
    counters = counters_at(where)
    assert counters.get("a") is None
    assert counters.log.position() == 0
    add(counters, "a", 2)
    add(counters, "b", 5)
    event = add(counters, "a", 3)
    assert (event.position, event.version, event.at, event.body) == (3, 2, AT, '{"by":3}')
    held = counters.get("a")
    assert held is not None
    assert (held.version, held.state) == (2, Counter(5))
    assert totals(counters) == {"a": 5, "b": 5}
    take_away(counters, "a")
    assert counters.get("a") is None
    assert totals(counters) == {"b": 5}
    assert [each.type for each in counters.history("a")] == ["added", "added", "taken_away"]
    add(counters, "a", 1)
    assert totals(counters) == {"a": 1, "b": 5}
    assert [each.position for each in counters.log.events()] == [1, 2, 3, 4, 5]
    assert [each.name for each in counters.log.events(after=3)] == ["a", "a"]


def test_an_old_decision_is_refused(where: Path | str) -> None:
    """Who decided on another version is told what is there now, and nothing is written."""
    counters = counters_at(where)
    add(counters, "a", 1, expected=0)
    with pytest.raises(Conflict, match=r"counter 'a' is at version 1 \(added by ana\), expected 0"):
        add(counters, "a", 1, expected=0)
    add(counters, "a", 1, expected=1)
    with pytest.raises(Conflict, match=r"counter 'b' is at version 0 \(nothing\), expected 1"):
        add(counters, "b", 1, expected=1)
    assert totals(counters) == {"a": 2}


def test_a_command_counts_once(where: Path | str) -> None:
    """Who asks again under the same id finds what came of it; an id of another thing is refused."""
    counters = counters_at(where)

    def command(name: str, by: int) -> int:
        with counters.changing(name) as change:
            made = change.asked_before("c-1") or change.record(
                "added", {"by": by}, actor="ana", reason="", command="c-1"
            )
            return made.position

    assert command("a", 1) == command("a", 1) == 1
    assert totals(counters) == {"a": 1}
    with pytest.raises(UserError, match="the command 'c-1' was given for counter 'a'"):
        command("b", 1)


def test_a_change_that_fails_leaves_nothing(where: Path | str) -> None:
    """An error after the event was written undoes it, and what was kept beside it."""
    counters = counters_at(where)
    add(counters, "a", 1)
    with pytest.raises(RuntimeError), counters.changing("a") as change:
        change.record("added", {"by": 1}, actor="ana", reason="")
        raise RuntimeError
    assert totals(counters) == {"a": 1}
    assert len(counters.history("a")) == 1
    for reason in ("a\0b", "a\udcff"):
        with pytest.raises(UserError, match=r"reason is .* NUL, or is no UTF-8"), counters.changing("a") as change:
            change.record("added", {"by": 1}, actor="ana", reason=reason)
    with pytest.raises(UserError, match="a text that is no UTF-8"), counters.changing("a") as change:
        change.record("added", {"by": 1, "note": "\udcff"}, actor="ana", reason="")
    with pytest.raises(UserError, match="name is"):
        counters.get("\udcff")
    assert len(counters.history("a")) == 1


def test_many_writers_lose_nothing(where: Path | str) -> None:
    """Of many who add at once each is counted, positions have no gap, and times never go back."""
    threads = [
        threading.Thread(target=lambda: [add(counters_at(where, ManualClock(AT)), "a", 1) for _ in range(5)])
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counters = counters_at(where)
    assert totals(counters) == {"a": 30}
    assert [event.position for event in counters.log.events()] == list(range(1, 31))


def test_times_never_go_back(where: Path | str) -> None:
    """An event is not before the one that was decided before it, whatever the clocks of two machines say."""
    add(counters_at(where, ManualClock(AT)), "a", 1)
    add(counters_at(where, ManualClock(AT - timedelta(hours=1))), "b", 1)
    assert [event.at for event in counters_at(where).log.events()] == [AT, AT]


def test_the_state_of_any_time(where: Path | str) -> None:
    """What happened at the time asked for is included; what came later is not."""
    clock = ManualClock(AT)
    counters = counters_at(where, clock)
    add(counters, "a", 1)
    clock.advance(timedelta(days=1))
    add(counters, "a", 1)
    add(counters, "b", 7)
    clock.advance(timedelta(days=1))
    take_away(counters, "a")
    for days, expected in ((-1, {}), (0, {"a": 1}), (1, {"a": 2, "b": 7}), (2, {"b": 7})):
        moment = AT + timedelta(days=days)
        assert {name: held.state.total for name, held in counters.at(moment).items()} == expected
        then = things_at(counters.log, KINDS, moment)
        assert {thing.held.name: thing.held.state.total for thing in then} == expected


def test_restoring_decides_anew(where: Path | str) -> None:
    """Each thing that was otherwise gets one event; nothing is erased, and going back again is possible."""
    clock = ManualClock(AT)
    counters = counters_at(where, clock)
    add(counters, "a", 1)
    add(counters, "same", 1)
    clock.advance(timedelta(days=1))
    add(counters, "a", 9)
    add(counters, "new", 5)
    take_away(counters, "same")
    add(counters, "same", 1)
    clock.advance(timedelta(days=1))
    made = restore(counters.log, KINDS, AT, actor="ben", reason="the new ones were wrong")
    assert [(event.name, event.type, event.actor) for event in made] == [
        ("a", RESTORED, "ben"),
        ("new", RESTORED, "ben"),
    ]
    assert totals(counters) == {"a": 1, "same": 1}
    assert restore(counters.log, KINDS, AT, actor="ben", reason="again") == []
    restore(counters.log, KINDS, AT + timedelta(days=1), actor="ana", reason="no", only=lambda _, name: name == "a")
    assert totals(counters) == {"a": 10, "same": 1}
    add(counters, "a", 1)
    assert totals(counters) == {"a": 11, "same": 1}


def test_tenants_are_apart(where: Path | str) -> None:
    """A tenant sees, restores and rebuilds its own."""
    mine, theirs = counters_at(where), counters_at(where, tenant="other")
    add(mine, "a", 1)
    add(theirs, "a", 2)
    assert (totals(mine), totals(theirs)) == ({"a": 1}, {"a": 2})
    assert rebuild(mine.log, KINDS).events == 1
    assert restore(mine.log, KINDS, AT - timedelta(days=1), actor="a", reason="")
    assert (totals(mine), totals(theirs)) == ({}, {"a": 2})


def test_what_was_kept_otherwise_is_found(where: Path | str) -> None:
    """A replay mends what is kept, and names what it mended."""
    counters = counters_at(where)
    add(counters, "a", 1)
    add(counters, "b", 1)
    assert rebuild(counters.log, KINDS).different == ()
    with ControlDatabase(where).writing() as connection:
        connection.exec_driver_sql("UPDATE control_states SET state = '{\"total\":99}' WHERE name = 'a'")
        connection.exec_driver_sql("DELETE FROM control_states WHERE name = 'b'")
    assert totals(counters) == {"a": 99, "b": 1}
    done = rebuild(counters.log, KINDS)
    assert (done.events, done.things, done.different) == (2, 2, ("counter a",))
    assert totals(counters) == {"a": 1, "b": 1}


def test_what_a_later_one_wrote_is_not_guessed(where: Path | str) -> None:
    """An event, a kind or a schema that this Orita does not know stops it, with a sentence, and nothing is changed."""
    counters = counters_at(where)
    with pytest.raises(OritaError, match=r"event 0 .*'added'.* cannot be read"), counters.changing("a") as change:
        change.record("added", {"by_how_much": 1}, actor="ana", reason="")
    add(counters, "a", 1)
    with pytest.raises(OritaError, match=r"'doubled'.* cannot be read"), counters.changing("a") as change:
        change.record("doubled", {}, actor="ana", reason="")
    with pytest.raises(OritaError, match="things of the kind 'counter', known are other"):
        rebuild(counters.log, {"other": COUNTER})
    assert totals(counters) == {"a": 1}
    with ControlDatabase(where).writing() as connection:
        connection.exec_driver_sql("UPDATE control_schema_version SET version_num = '9999'")
    with pytest.raises(OritaError, match="written by a later Orita"):
        counters_at(where).get("a")
    with pytest.raises(Unavailable, match="upgraded or replaced meanwhile"):  # by one that ran before
        add(counters, "a", 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["add", "take", "restore", "wait"]), st.integers(0, 5)),
        max_size=14,
    )
)
def test_replay_is_what_is_kept(steps: list[tuple[str, str, int]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever is decided, in whatever order: all events read again give what is kept, now and as of each time."""
    clock = ManualClock(AT)
    counters = counters_at(tmp_path_factory.mktemp("c") / "control.db", clock)
    was = [(AT, totals(counters))]
    for name, step, number in steps:
        clock.advance(timedelta(seconds=1))
        if step == "add":
            add(counters, name, number)
        elif step == "take":
            take_away(counters, name)
        elif step == "restore":
            restore(counters.log, KINDS, was[number % len(was)][0], actor="a", reason="r")
            assert totals(counters) == was[number % len(was)][1]
        was.append((clock.now(), totals(counters)))
    for moment, expected in was:
        assert {name: held.state.total for name, held in counters.at(moment).items()} == expected
    assert rebuild(counters.log, KINDS).different == ()


def test_a_database_that_is_away_is_told() -> None:
    """A sentence names the place without the password, and nothing waits for long."""
    with pytest.raises(
        Unavailable, match=r"control state \(.*ana:\*\*\*@127\.0\.0\.1:1/x\) cannot be used now"
    ) as told:
        counters_at("postgresql://ana:secret@127.0.0.1:1/x").get("a")
    assert "secret" not in str(told.value)


def test_what_is_decided_together_happens_at_one_time(where: Path | str) -> None:
    """However long it takes, and in whatever order it is recorded: no event is before the one in front of it."""
    clock = ManualClock(AT)
    counters = counters_at(where, clock)
    with deciding(counters.log) as decisions:
        first = decisions.of(COUNTER, "a")
        clock.advance(timedelta(seconds=1))
        second = decisions.of(COUNTER, "b")
        second.record("added", {"by": 1}, actor="ana", reason="")
        first.record("added", {"by": 1}, actor="ana", reason="")
    assert [(each.name, each.at) for each in counters.log.events()] == [("b", AT), ("a", AT)]
