"""Audiences by segment: what flags declare counts for a rollout as it was when the rollout began."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orita.control.deployments import Deployments
from orita.core.errors import UserError
from orita.delivery.assignment.conditions import All, Condition, EndsWith, InSegment, Not, OneOf, Time
from orita.delivery.assignment.experiments import Experiment
from orita.delivery.assignment.split import Split
from orita.delivery.flags.declarations import FlagFile
from orita.delivery.flags.kept import Flags
from orita.delivery.rollouts import Rollout, RolloutPlan, Rollouts
from orita.delivery.rollouts.routing import Router

ME: dict[str, Any] = {"actor": "ann", "reason": "because"}
STAFF = InSegment(name="staff")
ANN = {"user_id": 1, "mail": "ann@example.com"}
BEN = {"user_id": 2, "mail": "ben@example.org"}


@pytest.fixture
def rollouts(tmp_path: Path) -> Rollouts:
    """Return the rollouts of a home whose system has the champion a."""
    found = Rollouts(tmp_path / "control.db")
    Deployments(found.log.database).deploy("feed", "a", **ME)
    return found


def declare(rollouts: Rollouts, **segments: Condition) -> None:
    """Declare segments beside those that there are."""
    Flags(rollouts.log.database).declare(FlagFile(segments=segments), **ME)


def begun(rollouts: Rollouts, audience: Condition) -> Rollout:
    """Give b to everybody in *audience*; return the rollout as a server reads it."""
    rollouts.start("feed", RolloutPlan(strategy="segment", versions=("b",), audience=audience), **ME)
    return rollouts.under_way("feed")


def test_who_is_in_the_segment_gets_the_version(rollouts: Rollouts) -> None:
    """Segments within segments count; segments that are not named are not kept."""
    declare(
        rollouts,
        staff=All(of=(EndsWith(attribute="mail", values=("@example.com",)), Not(of=InSegment(name="left")))),
        left=OneOf(attribute="user_id", values=(3,)),
        other=OneOf(attribute="user_id", values=(2,)),
    )
    rollout = begun(rollouts, STAFF)
    route = Router(rollout).route
    assert [route(each).version for each in (ANN, BEN, ANN | {"user_id": 3})] == ["b", "a", "a"]
    assert list(rollout.segments) == ["left", "staff"]
    assert rollout.plan.audience == STAFF


def test_a_change_of_the_segment_moves_nobody(rollouts: Rollouts) -> None:
    """A rollout keeps what the segment was when it began, also where it is removed; the next one takes the new one."""
    declare(rollouts, staff=EndsWith(attribute="mail", values=("@example.com",)))
    first = begun(rollouts, STAFF)
    declare(rollouts, staff=EndsWith(attribute="mail", values=("@example.org",)))
    assert rollouts.under_way("feed") == first
    assert [Router(rollouts.under_way("feed")).route(each).version for each in (ANN, BEN)] == ["b", "a"]
    rollouts.abort("feed", **ME)
    route = Router(begun(rollouts, STAFF)).route
    assert [route(each).version for each in (ANN, BEN)] == ["a", "b"]
    Flags(rollouts.log.database).declare(FlagFile(), whole=True, **ME)
    assert [Router(rollouts.under_way("feed")).route(each).version for each in (ANN, BEN)] == ["a", "b"]


def test_what_cannot_be_is_refused(rollouts: Rollouts) -> None:
    """A segment that is not there, with the nearest that is; one that asks for the time."""
    declare(
        rollouts,
        stuff=OneOf(attribute="user_id", values=(2,)),
        today=Time(op="after", value=rollouts.log.clock.now()),
    )
    with pytest.raises(UserError, match=r"audience .* the segment 'staff' is not declared\. Did you mean 'stuff'\?"):
        begun(rollouts, STAFF)
    with pytest.raises(UserError, match="audience asks for the time"):
        begun(rollouts, Not(of=InSegment(name="today")))
    with pytest.raises(UserError, match="asks for the time"):
        Experiment(
            "e",
            Split.of({"on": 100}),
            audience=InSegment(name="now"),
            segments={"now": Time(op="after", value=rollouts.log.clock.now())},
        )
    assert rollouts.history("feed") == []
