"""Flags in control state: every change is checked with all others, kept with who and why, and can be gone back on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orita.control.events import Conflict
from orita.control.replay import Kinds, rebuild, restore, things_at
from orita.core.clock import ManualClock
from orita.core.errors import NotFound, UserError
from orita.delivery.flags import FlagFile, read_flags
from orita.delivery.flags.kept import FLAG, SEGMENT, Flags, check_flags

AT = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)
KINDS: Kinds = {"flag": FLAG, "segment": SEGMENT}
BETA = """
segments:
  beta: {is: in, attribute: country, values: [SE]}
flags:
  - key: checkout
    description: the new one
    rules:
      - {when: {is: segment, name: beta}, serve: "on"}
  - key: coupon
    prerequisites: [{flag: checkout, variants: ["on"]}]
    rules:
      - {rollout: {percent: 50}, serve: "on"}
"""


def beta() -> FlagFile:
    """Return two flags, one of which wants the other, and a segment."""
    return read_flags(BETA, "yaml")


@pytest.fixture
def clock() -> ManualClock:
    """Return the time."""
    return ManualClock(AT)


@pytest.fixture
def flags(tmp_path: Path, clock: ManualClock) -> Flags:
    """Return the flags of an empty home."""
    return Flags(tmp_path / "control.db", clock=clock)


def declare(flags: Flags, text: str, *, whole: bool = False, expected: int | None = None) -> list[str]:
    """Declare what YAML says; return what was decided."""
    file = read_flags(text, "yaml")
    made = flags.declare(file, actor="ana", reason="test", whole=whole, expected=expected)
    return [f"{event.kind} {event.name} {event.type}" for event in made]


def test_declared_flags_are_evaluated(flags: Flags) -> None:
    """What was declared is there for all, as it was written, and equal declarations decide nothing."""
    assert declare(flags, BETA) == ["segment beta declared", "flag checkout declared", "flag coupon declared"]
    assert declare(flags, BETA) == []
    again = Flags(flags.log.database)
    assert again.file() == beta()
    now = again.current()
    assert now.evaluate("checkout", {"country": "SE"}).value is True
    assert now.evaluate("checkout", {"country": "DK"}).value is False
    assert again.get("checkout").version == 1
    with pytest.raises(NotFound, match=r"there is no flag 'chekout'\. Did you mean 'checkout'"):
        again.get("chekout")


def test_the_kill_switch(flags: Flags) -> None:
    """It is one decision, which counts once under its id, and is nothing where the flag is so already."""
    declare(flags, BETA)
    made = flags.switch("checkout", enabled=False, actor="ben", reason="it breaks", command="c1")
    assert made is not None
    assert (made.type, made.actor, made.version) == ("switched", "ben", 2)
    assert flags.switch("checkout", enabled=False, actor="ben", reason="it breaks", command="c1") == made
    assert flags.switch("checkout", enabled=False, actor="ben", reason="it breaks") is None
    assert flags.current().evaluate("checkout", {"country": "SE"}).value is False
    assert flags.get("checkout").state.description == "the new one"
    with pytest.raises(Conflict, match=r"flag 'checkout' is at version 2 \(switched by ben\), expected 1"):
        flags.switch("checkout", enabled=True, actor="ana", reason="", expected=1)
    with pytest.raises(NotFound):
        flags.switch("nothing", enabled=True, actor="ana", reason="")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("flags: [{key: a, prerequisites: [{flag: b, variants: ['on']}]}]", "'b'"),
        ("flags: [{key: checkout, prerequisites: [{flag: coupon, variants: ['on']}]}]", "checkout"),
        ("flags: [{key: a, rules: [{when: {is: segment, name: gamma}, serve: 'on'}]}]", "gamma"),
        ("flags: [{key: good}, {key: a, rules: [{serve: maybe}]}]", "maybe"),
    ],
)
def test_contradictions_are_refused_whole(flags: Flags, text: str, sentence: str) -> None:
    """Whatever is wrong, alone or with what is there already: nothing of the file is written."""
    declare(flags, BETA)
    before = flags.log.position()
    with pytest.raises(UserError, match=sentence):
        declare(flags, text)
    assert flags.log.position() == before
    assert flags.file() == beta()


def test_what_others_need_stays(flags: Flags) -> None:
    """A flag that is a prerequisite is not removed; without the other it is, and its history stays."""
    declare(flags, BETA)
    with pytest.raises(UserError, match="checkout"):
        flags.remove("checkout", actor="ana", reason="old")
    flags.remove("coupon", actor="ana", reason="old")
    flags.remove("checkout", actor="ana", reason="old")
    assert flags.all() == {}
    assert [event.type for event in flags.history("checkout")] == ["declared", "removed"]
    assert declare(flags, "flags: [{key: checkout}]", expected=2) == ["flag checkout declared"]
    with pytest.raises(Conflict):
        declare(flags, "flags: [{key: checkout, enabled: false}]", expected=2)


def test_a_whole_file_is_all_there_is(flags: Flags) -> None:
    """Flags and segments that it has not are removed, in one transaction."""
    declare(flags, BETA)
    made = declare(flags, "flags: [{key: banner}]", whole=True)
    assert made == [
        "flag banner declared",
        "flag checkout removed",
        "flag coupon removed",
        "segment beta removed",
    ]
    assert flags.file() == read_flags("flags: [{key: banner}]", "yaml")


def test_any_state_can_be_shown_and_restored(flags: Flags, clock: ManualClock) -> None:
    """Flags of an hour ago are shown and restored, unless that would contradict what stays; a replay agrees."""
    declare(flags, BETA)
    clock.advance(timedelta(hours=1))
    flags.remove("coupon", actor="ana", reason="")
    flags.switch("checkout", enabled=False, actor="ana", reason="")
    then = things_at(flags.log, KINDS, AT)
    assert [(thing.kind.name, thing.held.name) for thing in then] == [
        ("flag", "checkout"),
        ("flag", "coupon"),
        ("segment", "beta"),
    ]
    restore(flags.log, KINDS, AT, actor="ben", reason="back", check=check_flags)
    assert flags.file() == beta()
    clock.advance(timedelta(hours=1))
    flags.remove("coupon", actor="ana", reason="")
    flags.remove("checkout", actor="ana", reason="")
    before = flags.log.position()
    with pytest.raises(UserError, match="checkout"):
        restore(flags.log, KINDS, AT, actor="b", reason="", only=lambda _, name: name == "coupon", check=check_flags)
    assert flags.log.position() == before
    assert rebuild(flags.log, KINDS).different == ()
