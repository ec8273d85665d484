"""Experiments on the prediction log: what the rollout decides, which answers count, and until when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.delivery.experiments.small_experiments import START, clicks, days_after, plan_of, write_events
from tests.delivery.rollouts.answering import Behaviour, LogOfServers, requests_of

from orita.control.deployments import Deployments
from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.core.home import Home
from orita.delivery.assignment import Holdout
from orita.delivery.assignment.overrides import Override
from orita.delivery.experiments import ExperimentFile, ExperimentPlan, Experiments, read_experiments
from orita.delivery.experiments.report import report_on
from orita.delivery.experiments.results import ExperimentReport
from orita.delivery.rollouts import Rollout, RolloutPlan, Rollouts
from orita.delivery.rollouts.routing import Router
from orita.events.prediction_segment import ScoredRequest

WHO: dict[str, Any] = {"actor": "ana", "reason": "a test"}
ALIKE = {"v1": Behaviour(), "v2": Behaviour()}
PREVIEW = "header.x-orita-variant"


class Scene:
    """A system where v2 is tried against v1, its prediction log, and an experiment on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.clock = folder, Home(folder / ".orita"), ManualClock(START)
        self.rollouts = Rollouts(self.home.control_db, clock=self.clock)
        self.experiments = Experiments(self.home.control_db, clock=self.clock)
        self.log, self.random = LogOfServers(self.home), np.random.default_rng(0)
        Deployments(self.home.control_db, clock=self.clock).deploy("feed", "v1", **WHO)
        write_events(folder, [(0, 0.0, 0.0)])

    def begin(self, *shares: float, **plan: Any) -> Rollout:
        """Begin an A/B test, by default of half of the users."""
        declared = {"strategy": "ab", "versions": ("v2",), "shares": shares or (50,), **plan}
        return self.rollouts.start("feed", RolloutPlan(**declared), **WHO)

    def declared(self, rollout: Rollout, weights: Sequence[float] = (50, 50), **changes: Any) -> ExperimentPlan:
        """Return an experiment on a rollout."""
        names = (rollout.champion, *rollout.plan.versions)
        return plan_of(
            exposures={"kind": "predictions", "rollout": rollout.id},
            variants=[{"name": name, "weight": weight} for name, weight in zip(names, weights, strict=True)],
            **changes,
        )

    def start(self, plan: ExperimentPlan, at: datetime | None = None) -> None:
        """Declare and start an experiment."""
        self.experiments.declare(ExperimentFile(experiments=(plan,)), **WHO)
        self.experiments.start(plan.key, at=at, **WHO)

    def answer(self, rollout: Rollout, users: Sequence[int], days: float) -> list[ScoredRequest]:
        """Answer users within the second so many days after the start."""
        answers = list(requests_of(rollout, days_after(days), users, ALIKE, self.random))
        self.log.write(answers)
        return answers

    def answer_previews(self, rollout: Rollout, users: Sequence[int], days: float) -> None:
        """Answer users who send the header of an override."""
        chosen = (Router(rollout).route({"user_id": user, PREVIEW: "new"}) for user in users)
        told = requests_of(rollout, days_after(days), users, ALIKE, self.random)
        self.log.write(
            [
                msgspec.structs.replace(each, rollout=route.rollout, variant=route.version, split_micros=None)
                for each, route in zip(told, chosen, strict=True)
            ]
        )

    def report(self, days: float) -> ExperimentReport:
        """Return the report of the experiment."""
        kept = self.experiments.get("colours").state
        return report_on(kept, self.home, self.folder, until=days_after(days), memory_mb=256)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Return a system without a rollout."""
    return Scene(tmp_path)


def drawn(rollout: Rollout, users: Iterable[int]) -> dict[str, int]:
    """Return how many of the users the dice give each version."""
    router = Router(rollout)
    given = [router.route({"user_id": user}).version for user in users]
    return {version: given.count(version) for version in (rollout.champion, *rollout.plan.versions)}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"layer": {"name": "ranking", "percent": 40}}, "layer is given, .* leave layer out; rollouts have none"),
        (
            {"audience": {"is": "in", "attribute": "country", "values": ["SE"]}},
            "leave audience out; declare audience in the plan of the rollout",
        ),
        ({"overrides": [{"attribute": "user_id", "values": [7], "variant": "v2"}]}, "leave overrides out"),
        ({"by": "device_id"}, "knows users by user_id, and by is 'device_id'"),
    ],
)
def test_what_the_rollout_decides(scene: Scene, changes: dict[str, Any], why: str) -> None:
    """Is refused where the experiment is read, and again where a draft of before is started."""
    plan = scene.declared(scene.begin(), **changes)
    with pytest.raises(UserError, match=f"^experiment 'colours': .*{why}"):
        read_experiments(msgspec.json.encode(ExperimentFile(experiments=(plan,))), "json")
    with pytest.raises(UserError, match=f"^experiment 'colours' cannot start: .*{why}"):
        scene.start(plan)
    assert scene.experiments.get("colours").state.status == "draft"


@pytest.mark.parametrize(
    ("rollout", "experiment", "why"),
    [
        ({}, {"weights": (60, 40)}, "variants are v1 60 %, v2 40 %, and rollout .* gives v1 50 %, v2 50 %"),
        ({"shares": (10,)}, {}, "gives v1 90 %, v2 10 %: declare its versions with their shares"),
        ({"versions": ("v2", "v3"), "shares": (30, 30)}, {"weights": (40, 30, 30)}, None),
        ({"by": ("session",)}, {}, "splits by session, and an experiment on it by user_id"),
        ({"shares": (100,)}, {}, "gives everybody v2: there is nobody to compare them with"),
        ({}, {"holdouts": [{"name": "all", "percent": 5}]}, "holdout 'all' of 5 % is none of rollout"),
        ({"holdouts": (Holdout("all", 5),)}, {"holdouts": [{"name": "all", "percent": 5}]}, None),
        ({"holdouts": (Holdout("all", 5),)}, {}, None),
        ({"strategy": "canary", "shares": ()}, {}, "is a canary, and an experiment needs shares that stand still"),
        ({"strategy": "bandit"}, {}, "is a bandit, and"),
        ({"strategy": "blue_green", "shares": ()}, {}, "is a blue_green, and"),
        ({"strategy": "shadow", "shares": ()}, {}, "is a shadow, and"),
    ],
)
def test_a_rollout_that_does_otherwise(
    scene: Scene, rollout: dict[str, Any], experiment: dict[str, Any], why: str | None
) -> None:
    """An experiment starts only on a rollout that splits the same units by the same shares, and goes on doing so."""
    plan = scene.declared(scene.begin(**rollout), **experiment)
    if why is None:
        scene.start(plan)
        assert scene.experiments.get("colours").state.status == "running"
        return
    with pytest.raises(UserError, match=why):
        scene.start(plan)


def test_when_it_can_start(scene: Scene) -> None:
    """On a rollout that is there, from the beginning of its shares on; on one that ended, from before its end."""
    with pytest.raises(UserError, match=r"exposures\.rollout is 'r7', and there is no such rollout\. None exist yet"):
        scene.start(
            plan_of(
                exposures={"kind": "predictions", "rollout": "r7"},
                variants=[{"name": "v1", "weight": 50}, {"name": "v2", "weight": 50}],
            )
        )
    rollout = scene.begin()
    plan = scene.declared(rollout)
    with pytest.raises(UserError, match="has these shares since 2024-11-04"):
        scene.start(plan, at=START - timedelta(hours=1))
    scene.clock.advance(timedelta(days=1))
    scene.rollouts.abort("feed", **WHO)
    with pytest.raises(UserError, match=f"rollout {rollout.id} is aborted since 2024-11-05"):
        scene.start(plan)
    scene.start(plan, at=START)
    assert scene.experiments.get("colours").state.started_at == START


def test_from_the_start_to_a_verdict(scene: Scene) -> None:
    """Units are those whom the dice of the rollout gave a version, held against its own shares."""
    rollout, users = scene.begin(20), range(600)
    scene.start(scene.declared(rollout, (80, 20)))
    answers = scene.answer(rollout, users, 0.5)
    clicked = [(each.user_id, 0.75, 1.0) for each in answers if each.variant == "v2" or int(each.user_id) % 4 == 0]
    write_events(scene.folder, clicked)
    scene.log.rotate()
    report = scene.report(4.0)
    expected = drawn(rollout, users)
    assert report.exposed.units == expected
    assert report.sample_ratio.expected == pytest.approx({"v1": 480.0, "v2": 120.0})
    assert not report.sample_ratio.mismatch
    of_v1 = sum(each.variant == "v1" and int(each.user_id) % 4 == 0 for each in answers) / expected["v1"]
    assert report.metrics[0].effects[0].estimate == pytest.approx(1 - of_v1)
    assert report.verdict.sentence == "ship v2"


def test_answers_that_are_lost_are_a_mismatch(scene: Scene) -> None:
    """The test of shares goes by those of the rollout: half of the answers of a fifth are missed."""
    rollout = scene.begin(20)
    scene.start(scene.declared(rollout, (80, 20)))
    silent = {"v1": Behaviour(), "v2": Behaviour(silent=0.5)}
    scene.log.write(list(requests_of(rollout, days_after(0.5), range(2000), silent, scene.random)))
    assert scene.report(1.0).verdict.sentence == "invalid: sample ratio mismatch"


def test_who_has_a_version_by_an_override(scene: Scene) -> None:
    """Is left out and counted, whatever the dice said at other times; a user of no other answer too."""
    overrides = (
        Override(attribute="user_id", values=(7,), variant="v2"),
        Override(attribute=PREVIEW, values=("new",), variant="v2"),
    )
    rollout, users = scene.begin(overrides=overrides), range(100)
    scene.start(scene.declared(rollout))
    scene.answer(rollout, users, 0.5)
    scene.answer_previews(rollout, [1, 2, 3, 4, 200], 0.6)
    exposed = scene.report(1.0).exposed
    assert exposed.overridden == 6
    assert exposed.two_variants == 0
    assert exposed.units == drawn(rollout, [user for user in users if user not in (1, 2, 3, 4, 7)])


def test_who_takes_no_part(scene: Scene) -> None:
    """Users that the audience or a holdout of the rollout keeps out are in no variant."""
    rollout = scene.begin(holdouts=(Holdout("all", 50),))
    scene.start(scene.declared(rollout, holdouts=[{"name": "all", "percent": 50}]))
    scene.answer(rollout, range(400), 0.5)
    exposed = scene.report(1.0).exposed
    inside = [user for user in range(400) if not Holdout("all", 50).holds(user)]
    assert (exposed.units, exposed.held_out) == (drawn(rollout, inside), 0)


def test_the_time_of_other_shares_is_over(scene: Scene) -> None:
    """Once shares change nothing later counts, as units get another variant in their windows; and it says so."""
    before = scene.begin(20)
    scene.start(scene.declared(before, (80, 20)))
    scene.answer(before, range(300), 0.5)  # closed on day 2.5
    scene.answer(before, range(300, 400), 1.5)  # never closed
    scene.clock.advance(timedelta(days=3))
    during = scene.report(2.75)
    after = scene.rollouts.reweigh(scene.rollouts.under_way("feed"), {"v2": 60}, **WHO)
    scene.answer(after, range(600), 3.5)
    again = scene.report(2.75)
    assert (again.metrics, again.exposed.units) == (during.metrics, during.exposed.units)
    over = scene.report(9.0)
    assert over.until == days_after(3.0)
    assert over.exposed.units == drawn(before, range(400))
    assert over.metrics[0].closed == 300
    assert not over.sample_ratio.mismatch
    assert over.verdict.decision != "keep_running"
    assert over.notes[0] == (
        "The rollout ended, or gave other shares, at 2024-11-07 00:00:00 UTC: the report is as of then."
    )


def test_a_server_that_is_behind(scene: Scene) -> None:
    """What it answers by the shares of before the experiment counts for nothing, and is told."""
    before = scene.begin(20)
    scene.clock.advance(timedelta(hours=1))
    now = scene.rollouts.reweigh(before, {"v2": 50}, **WHO)
    scene.start(scene.declared(now))
    scene.answer(now, range(200), 0.5)
    scene.answer(before, range(200, 300), 0.5)
    report = scene.report(1.0)
    assert (report.exposed.units, report.exposed.other_split) == (drawn(now, range(200)), 500)
    assert "500 rows of exposures were chosen by other shares of the rollout, and are left out." in report.notes


def test_the_end_of_the_rollout_is_its_end(scene: Scene) -> None:
    """After a promotion everybody has the winner, so what units do then is of no variant."""
    rollout = scene.begin()
    scene.start(scene.declared(rollout, metrics=[clicks(window="1d")]))
    scene.answer(rollout, range(300), 0.25)
    scene.clock.advance(timedelta(days=1))
    scene.rollouts.promote("feed", **WHO)
    report = scene.report(5.0)
    assert (report.until, report.metrics[0].closed) == (days_after(1.0), 0)
    assert report.verdict.sentence == "do not ship"
    with pytest.raises(UserError, match=f"rollout {rollout.id} is promoted, and assigns nobody"):
        scene.experiments.assignment("colours")


def test_assigned_as_the_rollout_does(scene: Scene) -> None:
    """Who asks what somebody gets is told what servers answer."""
    rollout = scene.begin()
    scene.start(scene.declared(rollout))
    assignment, router = scene.experiments.assignment("colours"), Router(rollout)
    for user in range(50):
        assert assignment.assign({"user_id": user}).variant == router.route({"user_id": user}).version
