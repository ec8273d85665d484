"""Rollouts in control state: who may do what when, in which order things happen, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orita.control.deployments import Deployments
from orita.control.events import Conflict
from orita.control.leases import LeaseLost, Leases
from orita.core.clock import ManualClock
from orita.core.errors import NotFound, UserError
from orita.delivery.assignment.conditions import OneOf
from orita.delivery.rollouts import Rollout, RolloutPlan, Rollouts, Step

AT = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)
CANARY = RolloutPlan(strategy="canary", versions=("b",), steps=(Step(10), Step(100)))
ME: dict[str, Any] = {"actor": "ann", "reason": "because"}


@pytest.fixture
def clock() -> ManualClock:
    """Return the time."""
    return ManualClock(AT)


@pytest.fixture
def rollouts(tmp_path: Path, clock: ManualClock) -> Rollouts:
    """Return the rollouts of a home whose system has the champion a."""
    database = tmp_path / "control.db"
    Deployments(database, clock=clock).deploy("feed", "a", **ME)
    return Rollouts(database, clock=clock)


def deployed(rollouts: Rollouts) -> str:
    """Return the champion."""
    now = Deployments(rollouts.log.database).current("feed")
    assert now is not None
    return now.version


def test_a_canary_goes_up_and_becomes_the_champion(rollouts: Rollouts, clock: ManualClock) -> None:
    """Shares follow the steps, each decision has who, when, why and its evidence, and the promotion deploys."""
    begun = rollouts.start("feed", CANARY, **ME)
    assert begun.shares == {"a": 90.0, "b": 10.0}
    clock.advance(timedelta(minutes=5))
    moved = rollouts.advance(begun, actor="controller", reason="good", evidence={"p": 0.001})
    assert moved.shares == {"a": 0.0, "b": 100.0}
    assert moved.last_step
    assert moved.since == AT + timedelta(minutes=5)
    waiting = rollouts.judge(moved, "not_enough_traffic", "Nothing is counted yet.", actor="controller", evidence={})
    ended = rollouts.promote("feed", seen=waiting, actor="ann", reason="it answered all")
    assert (ended.state, ended.winner, ended.why) == ("promoted", "b", "it answered all")
    assert deployed(rollouts) == "b"
    history = rollouts.history("feed")
    assert [event.type for event in history] == ["started", "advanced", "judged", "promoted"]
    assert [event.actor for event in history] == ["ann", "controller", "controller", "ann"]
    assert b'"p":0.001' in history[1].body.encode()
    assert rollouts.current("feed").routing is None


def test_who_has_the_version_keeps_it(rollouts: Rollouts) -> None:
    """A step moves only those who get the new version."""
    begun = rollouts.start("feed", RolloutPlan(strategy="canary", versions=("b",)), **ME)
    had = [n for n in range(1000) if begun.split.variant(n / 1000) == "b"]
    moved = rollouts.advance(begun, **ME)
    assert all(moved.split.variant(n / 1000) == "b" for n in had)


@pytest.mark.parametrize(
    ("strategy", "shares", "expected"),
    [
        ("ab", (25.0,), {"a": 75.0, "b": 25.0}),
        ("bandit", (), {"a": 90.0, "b": 10.0}),
        ("blue_green", (), {"a": 100.0, "b": 0.0}),
        ("segment", (), {"a": 0.0, "b": 100.0}),
        ("segment", (90.0,), {"a": 10.0, "b": 90.0}),
        ("shadow", (), {"a": 100.0, "b": 0.0}),
    ],
)
def test_each_strategy_begins_with_its_shares(
    rollouts: Rollouts, strategy: str, shares: tuple[float, ...], expected: dict[str, float]
) -> None:
    """A segment's audience may keep a part that has the champion."""
    audience = OneOf(attribute="device", values=("mobile",)) if strategy == "segment" else None
    plan = RolloutPlan(strategy=strategy, versions=("b",), shares=shares, audience=audience)  # type: ignore[arg-type]
    assert rollouts.start("feed", plan, **ME).shares == expected


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"versions": ["b"], "steps": [{"share": 100}]}, "two or more rising percentages"),
        ({"versions": list("bcdefgh"), "strategy": "ab"}, "7 versions are to be tried, allowed are 6"),
        ({"versions": ["b"], "soak_seconds": 1e15}, "soak_seconds"),
        ({"versions": ["b"], "checks": {"metric": {"window_seconds": math.inf}}}, "window_seconds"),
        ({"versions": ["b"], "checks": {"latency": {"most_more_ms": math.inf}}}, "most_more_ms"),
    ],
)
def test_plans_that_nobody_can_mean(told: dict[str, Any], sentence: str) -> None:
    """A canary without a champion beside it, more versions than fit, and bounds without an end are refused."""
    with pytest.raises((UserError, msgspec.ValidationError), match=sentence):
        msgspec.convert({"strategy": "canary"} | told, RolloutPlan)


def test_what_cannot_be_is_refused(rollouts: Rollouts, clock: ManualClock, tmp_path: Path) -> None:
    """Each refusal is a sentence; nothing changes."""
    with pytest.raises(UserError, match="has no champion to compare with"):
        rollouts.start("other", CANARY, **ME)
    with pytest.raises(UserError, match="is the champion of 'feed' already"):
        rollouts.start("feed", RolloutPlan(strategy="canary", versions=("a",)), **ME)
    with pytest.raises(NotFound, match="has no rollout under way"):
        rollouts.pause("feed", **ME)
    begun = rollouts.start("feed", CANARY, **ME)
    with pytest.raises(Conflict, match="has a rollout of b under way"):
        rollouts.start("feed", RolloutPlan(strategy="ab", versions=("c",)), **ME)
    with pytest.raises(UserError, match="is running, not paused"):
        rollouts.resume("feed", **ME)
    with pytest.raises(UserError, match="only shares of 'ab' and 'bandit' are set"):
        rollouts.reweigh(begun, {"b": 50.0}, **ME)
    rollouts.pause("feed", **ME)
    with pytest.raises(UserError, match="is paused already"):
        rollouts.pause("feed", **ME)
    commands: list[Callable[[], object]] = [
        lambda: rollouts.advance(begun, **ME),
        lambda: rollouts.judge(begun, "hold", "", actor="c", evidence={}),
        lambda: rollouts.roll_back("feed", begun.id, evidence={}, seen=begun, **ME),
        lambda: rollouts.promote("feed", begun.id, seen=begun, **ME),
    ]
    for act in commands:
        with pytest.raises(Conflict, match="is paused at step 1 now, it was running"):
            act()
    resumed = rollouts.resume("feed", **ME)
    last = rollouts.advance(resumed, **ME)
    with pytest.raises(UserError, match="has no further step"):
        rollouts.advance(last, **ME)
    with pytest.raises(UserError, match="c is no challenger"):
        rollouts.promote("feed", version="c", **ME)
    Deployments(tmp_path / "control.db", clock=clock).deploy("feed", "z", **ME)
    with pytest.raises(Conflict, match="z was deployed since"):
        rollouts.promote("feed", **ME)
    rollouts.abort("feed", **ME)
    with pytest.raises(NotFound, match="is aborted since"):
        rollouts.abort("feed", begun.id, **ME)
    assert deployed(rollouts) == "z"


def test_a_verdict_is_recorded_when_it_changes(rollouts: Rollouts) -> None:
    """The same verdict again is no event; a step forgets the verdict."""
    begun = rollouts.start("feed", CANARY, **ME)
    held = rollouts.judge(begun, "hold", "wait", actor="c", evidence={"n": 1})
    again = rollouts.judge(held, "hold", "wait longer", actor="c", evidence={"n": 2})
    assert (again.verdict, again.why) == ("hold", "wait")
    assert rollouts.advance(again, **ME).verdict == "not_looked_at"
    assert [event.type for event in rollouts.history("feed")] == ["started", "judged", "advanced"]


def test_without_the_lease_nothing_is_done(rollouts: Rollouts, clock: ManualClock, tmp_path: Path) -> None:
    """Each command of a controller is refused where another one took the lease."""
    leases = Leases(tmp_path / "control.db", clock=clock)
    mine = leases.take("rollouts/feed", "first", 10)
    begun = rollouts.start("feed", CANARY, **ME)
    clock.advance(timedelta(seconds=60))
    leases.take("rollouts/feed", "second", 10)
    commands: list[Callable[[], object]] = [
        lambda: rollouts.advance(begun, lease=mine, **ME),
        lambda: rollouts.judge(begun, "hold", "", actor="c", evidence={}, lease=mine),
        lambda: rollouts.roll_back("feed", begun.id, evidence={}, lease=mine, **ME),
        lambda: rollouts.promote("feed", lease=mine, **ME),
        lambda: rollouts.abort("feed", lease=mine, **ME),
    ]
    for act in commands:
        with pytest.raises(LeaseLost):
            act()
    assert [event.type for event in rollouts.history("feed")] == ["started"]


def test_several_challengers_need_a_name(rollouts: Rollouts) -> None:
    """An A/B test of two is promoted by name, and its shares are set for both."""
    plan = RolloutPlan(strategy="ab", versions=("b", "c"), shares=(20, 30))
    begun = rollouts.start("feed", plan, **ME)
    moved = rollouts.reweigh(begun, {"b": 30.0, "c": 30.0}, **ME)
    assert moved.shares == {"a": 40.0, "b": 30.0, "c": 30.0}
    with pytest.raises(UserError, match="say which one wins"):
        rollouts.promote("feed", **ME)
    assert rollouts.promote("feed", version="c", **ME).winner == "c"


def test_a_shadow_is_not_promoted(rollouts: Rollouts) -> None:
    """Whether it is named or the only one, with any number of challengers."""
    shadow = rollouts.start("feed", RolloutPlan(strategy="shadow", versions=("b", "c")), **ME)
    ways: list[dict[str, Any]] = [{}, {"id_": shadow.id}, {"version": "b"}]
    for given in ways:
        with pytest.raises(UserError, match="is a shadow, nobody has seen what b answers"):
            rollouts.promote("feed", **given, **ME)
    with pytest.raises(UserError, match="is a shadow, which has no steps"):
        rollouts.advance(shadow, **ME)
    assert deployed(rollouts) == "a"


def test_checking_begins_nothing(rollouts: Rollouts) -> None:
    """It refuses what beginning would."""
    rollouts.check("feed", CANARY)
    assert rollouts.history("feed") == []
    with pytest.raises(UserError, match="is the champion of 'feed' already"):
        rollouts.check("feed", RolloutPlan(strategy="canary", versions=("a",)))
    rollouts.start("feed", CANARY, **ME)
    with pytest.raises(Conflict, match="has a rollout of b under way"):
        rollouts.check("feed", CANARY)


def test_what_was_begun_can_be_read_whatever_is_refused_now(rollouts: Rollouts) -> None:
    """Checks are of what begins: a plan of an earlier Orita that would be refused today goes on."""
    begun = rollouts.start("feed", CANARY, **ME)
    earlier = msgspec.structs.replace(CANARY, by=(), shares=(5.0,))
    told = msgspec.to_builtins(msgspec.structs.replace(begun, plan=earlier))
    del told["segments"]
    found = msgspec.convert(told, Rollout)
    assert (found.plan, found.segments) == (earlier, {})
    with pytest.raises(UserError, match="shares means nothing for the strategy 'canary'"):
        rollouts.check("feed", earlier)
