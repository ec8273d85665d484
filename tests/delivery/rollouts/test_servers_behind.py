"""A server that did not hear of a new split goes by the one of before: what it answers is no sign of a fault."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.delivery.rollouts.answering import Behaviour, requests_of
from tests.delivery.rollouts.test_controller import ME, OLD, Scene

from orita.core.home import Home
from orita.delivery.rollouts import Checks, Step
from orita.delivery.rollouts.controller import Controller
from orita.delivery.rollouts.evidence import Evidence
from orita.delivery.rollouts.looks import Look, stages_of
from orita.delivery.rollouts.rollout import Rollout

STEPS = (Step(1, 0, 10**6), Step(25, 0, 10**6), Step(100))
"""Nobody goes on by himself."""
CHECKS = Checks(metric=None, latency=None, drift=None, scores=None)


@pytest.fixture
def scene(tmp_path: Path) -> Callable[..., Scene]:
    """Return what makes a scene."""
    return lambda new=OLD, **plan: Scene(Home(tmp_path), new, **({"steps": STEPS, "checks": CHECKS} | plan))


def switched(
    made: Scene, controller: Controller, seconds: int, behind: int, after: Behaviour | None = None
) -> Rollout | None:
    """Go from 1 to 25 %, let *seconds* pass, of which one server of two is *behind*; return what is under way then.

    From the change on the version behaves as it does *after* it.
    """
    made.seconds(10, controller)
    before = made.rollouts.under_way("feed")
    made.rollouts.advance(before, **ME)
    made.world.behaviour["b"] = after or made.world.behaviour["b"]
    for second in range(seconds):
        now = made.rollouts.current("feed").routing
        if now is None:
            return None
        made.world.second(now, before if second < behind else None)
        controller.look()
    return made.rollouts.current("feed").routing


def said(made: Scene) -> dict[str, str]:
    """Return what each check says."""
    return {name: check["says"] for name, check in made.standing().evidence["checks"].items()}


def test_a_server_that_is_behind_for_a_minute_is_no_harm(scene: Callable[..., Scene]) -> None:
    """It goes on with 1 % while the other one has 25 %: no user of the version is missing, none is split otherwise."""
    made = scene()
    now = switched(made, made.controller(), 90, behind=60)
    assert now is not None
    assert made.types.count("rolled_back") == 0
    assert said(made) == {"errors b": "fine", "answers b": "fine", "split all versions": "fine"}
    behind = made.standing().evidence["behind"]
    assert 55 * 75 <= behind <= 56 * 75  # of half of 150 a second, but for the seconds in which servers hear of a split
    made.rollouts.advance(now, **ME)
    made.seconds(10, made.controller())
    assert "behind" not in made.standing().evidence


def test_it_is_no_mismatch_of_the_split(scene: Callable[..., Scene]) -> None:
    """Where answers that are missing are not looked at, nothing holds the rollout either."""
    made = scene(checks=msgspec.structs.replace(CHECKS, errors=None))
    assert switched(made, made.controller(), 90, behind=60) is not None
    assert said(made) == {"split all versions": "fine"}


@pytest.mark.parametrize("behind", [0, 60])
def test_a_version_that_leaves_users_unanswered_is_still_found(scene: Callable[..., Scene], behind: int) -> None:
    """By the users of the servers that have heard; whether one of two has not makes it take no longer than twice."""
    made = scene()
    assert switched(made, made.controller(), 30, behind=behind, after=Behaviour(silent=1.0)) is None
    assert (made.state, made.deployed) == ("rolled_back", "a")
    assert "its answers come too late, or not at all" in made.rollouts.current("feed").ended[0].why


class Switch:
    """The second after a change from 1 to 25 %, in which two servers answer: one has not heard, one's clock is behind.

    Attributes:
        late: users of the server that has not heard.
        slow: users of the server whose clock is eight seconds behind.
    """

    late, slow = range(100), range(100, 200)

    def __init__(self, made: Scene) -> None:
        self.made, random = made, np.random.default_rng(3)
        self.before = made.rollouts.under_way("feed")
        made.clock.advance(timedelta(seconds=10.4))
        self.now = made.rollouts.advance(self.before, **ME)
        at = made.clock.now() + timedelta(seconds=0.1)
        behaviour = made.world.behaviour
        late = list(requests_of(self.before, at, self.late, behaviour, random))
        slow = [
            msgspec.structs.replace(each, at_micros=each.at_micros - 8_000_000)
            for each in requests_of(self.now, at, self.slow, behaviour, random)
        ]
        made.world.answers.write([*late, *slow])
        made.clock.advance(timedelta(seconds=4))

    def looks(self) -> list[Look]:
        """Return all looks, as a controller that begins now makes them."""
        made = self.made
        stages = stages_of(made.rollouts.history("feed"), made.id)
        return list(Evidence(made.home, self.before, made.world.events).looks(stages, made.clock.now()))


def told(looks: list[Look]) -> dict[int, tuple[int, int, int, int]]:
    """Return by stage how many answers, users in the guards, newcomers and late answers there are."""
    found: dict[int, tuple[int, int, int, int]] = {}
    for look in looks:
        guards = sum(len(counts.failed_U) for counts in look.guards.values())
        new = sum(look.answered.values()), guards, sum(look.newcomers.values()), look.behind
        before = found.get(look.stage.number, (0, 0, 0, 0))
        found[look.stage.number] = tuple(map(sum, zip(before, new, strict=True)))  # type: ignore[assignment]
    return found


@pytest.mark.parametrize("converted", [False, True])
def test_an_answer_counts_under_the_split_that_it_was_routed_by(scene: Callable[..., Scene], converted: bool) -> None:
    """One of a split of before counts for nothing; one whose clock is behind counts when its split began."""
    switch = Switch(scene())
    if converted:
        switch.made.world.answers.rotate()
    assert told(switch.looks()) == {0: (50, 50, 50, 0), 1: (100, 100, 100, 50)}  # the change came amid the late ones


def test_who_was_answered_by_a_split_of_before_is_remembered(scene: Callable[..., Scene]) -> None:
    """Under the present split these users are no newcomers, and count in the guards, which had nothing of them."""
    switch = Switch(scene())
    made = switch.made
    made.world.answers.write(
        list(requests_of(switch.now, made.clock.now(), Switch.late, made.world.behaviour, np.random.default_rng(4)))
    )
    made.clock.advance(timedelta(seconds=3))
    looks = [look for look in switch.looks() if look.at > switch.now.since + timedelta(seconds=3)]
    assert told(looks) == {1: (100, 100, 0, 0)}


def test_files_of_before_are_counted_by_their_time(scene: Callable[..., Scene]) -> None:
    """They do not say by which split an answer was routed: it is of the one of its time."""
    switch = Switch(scene())
    switch.made.world.answers.rotate()
    for path in switch.made.home.predictions.glob("date=*/*.parquet"):
        pq.write_table(pq.read_table(path, partitioning=None).drop_columns(["split_since"]), path)
    assert told(switch.looks()) == {0: (150, 150, 150, 0), 1: (50, 50, 50, 0)}
