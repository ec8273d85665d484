"""Which answers without a rollout's dice an override chose, and which are of users who took no part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from tests.delivery.ope.logged_home import FIRST, LOGGED, logged_home
from tests.delivery.ope.made_pages import made_pages
from tests.features.small_system import NOW, declared_system

from orita.control.deployments import Deployments
from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.delivery.assignment import Holdout
from orita.delivery.assignment.overrides import Override
from orita.delivery.ope.evaluate_log import LogEvaluation
from orita.delivery.ope.log_overrides import LogOverrides
from orita.delivery.ope.log_policies import AsLogged
from orita.delivery.ope.log_reading import AnswerCounts, read_pages
from orita.delivery.ope.log_rewards import LogWindow
from orita.delivery.rollouts import Rollout, RolloutPlan, Rollouts
from orita.delivery.rollouts.plan_files import plan_of
from orita.delivery.rollouts.routing import Router

WHO: dict[str, Any] = {"actor": "ana", "reason": "a test"}
MOBILE = {"is": "in", "attribute": "device", "values": ["mobile"]}
TO_V2 = Override(attribute="header.x-new", values=("yes",), variant="v2")
BEGUN = FIRST - timedelta(hours=1)


def begin(home: Home, champion: str, plan: RolloutPlan, at: datetime = BEGUN, system: str = "small") -> Rollout:
    """Begin a rollout, beside nothing else."""
    clock = ManualClock(at)
    rollouts = Rollouts(home.control_db, clock=clock)
    if rollouts.current(system).routing is not None:
        rollouts.abort(system, **WHO)
    Deployments(home.control_db, clock=clock).deploy(system, champion, **WHO)
    return rollouts.start(system, plan, **WHO)


def chosen(home: Home, rollout: Rollout, asked: Mapping[str, object], at: datetime = FIRST) -> tuple[str, bool]:
    """Return the version that a request gets, and whether an override may have chosen it."""
    route = Router(rollout).route(asked)
    answer = pa.table(
        {
            "timestamp": pa.array([at], pa.timestamp("us", tz="UTC")),
            "variant": [route.version],
            "rollout": pa.array([route.rollout], pa.string()),
        }
    )
    (told,) = LogOverrides(home, "small").may_have_chosen(answer)
    return route.version, bool(told)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return an empty home."""
    return Home(tmp_path / ".orita")


def test_who_takes_no_part(home: Home) -> None:
    """Outside the audience, held out, or without an id, the champion's answer is nobody's choice."""
    held_out = next(user for user in range(1000) if Holdout("all", 5).holds(user))
    document = {
        "strategy": "segment",
        "versions": ["v2"],
        "audience": MOBILE,
        "holdouts": [{"name": "all", "percent": 5}],
    }
    plan = msgspec.structs.replace(plan_of(document), overrides=(TO_V2,))
    rollout = begin(home, "v1", plan)
    assert chosen(home, rollout, {"user_id": 1, "device": "desktop"}) == ("v1", False)
    assert chosen(home, rollout, {"user_id": held_out, "device": "mobile"}) == ("v1", False)
    assert chosen(home, rollout, {"device": "mobile"}) == ("v1", False)
    assert chosen(home, rollout, {"user_id": held_out + 1, "device": "mobile"}) == ("v2", False)
    assert chosen(home, rollout, {"user_id": 1, "device": "desktop", "header.x-new": "yes"}) == ("v2", True)


def test_by_the_rollout_of_that_time(home: Home) -> None:
    """A version that overrides gave as a challenger is the champion later; of before all rollouts nothing is known."""
    tried = begin(home, "v1", RolloutPlan(strategy="ab", versions=("v2",), overrides=(TO_V2,)))
    later = FIRST + timedelta(hours=5)
    next_one = begin(home, "v2", RolloutPlan(strategy="ab", versions=("v3",)), later)
    assert chosen(home, tried, {"header.x-new": "yes"}) == ("v2", True)
    assert chosen(home, next_one, {}, later) == ("v2", False)
    assert chosen(home, next_one, {}, BEGUN - timedelta(hours=1)) == ("v2", True)


def test_other_rollouts_say_nothing(home: Home) -> None:
    """Those of another system, and shadows, choose no answer."""
    begin(home, "v2", RolloutPlan(strategy="ab", versions=("v3",)), system="other")
    begin(home, "v2", RolloutPlan(strategy="shadow", versions=("v3",)))
    answer = {"timestamp": pa.array([FIRST], pa.timestamp("us", tz="UTC")), "variant": ["v2"]}
    log = pa.table({**answer, "rollout": pa.array([None], pa.string())})
    assert LogOverrides(home, "small").may_have_chosen(log).tolist() == [True]


@pytest.mark.parametrize("overridden", [False, True])
def test_pages_of_who_takes_no_part_are_weighed(tmp_path: Path, *, overridden: bool) -> None:
    """The one answer of the log that no dice chose counts, unless an override gave its version."""
    home = logged_home(tmp_path, made_pages(40, share=0.4, differs=0.5, users=20, seed=7))
    override = Override(attribute="user_id", values=(1,), variant="champion")  # a version of that name
    champion, plan = "champion", RolloutPlan(strategy="ab", versions=("v2",))
    if overridden:
        champion, plan = "v0", RolloutPlan(strategy="ab", versions=("champion",), overrides=(override,))
    begin(home, champion, plan)
    window = LogWindow(LOGGED)
    pages, counts = read_pages(home, declared_system(), AsLogged(LOGGED), window, clock=ManualClock(NOW))
    assert pages is not None
    assert (counts.overridden, counts.used) == ((1, 40) if overridden else (0, 41))
    notes = " ".join(LogEvaluation("small", LOGGED, window, counts, None).notes())
    assert ("1 whose version an override of a rollout chose" in notes) is overridden


@pytest.mark.parametrize(
    ("left_out", "why"),
    [
        ({"overridden": 5, "certain": 1}, "most are answers whose version an override of a rollout chose"),
        ({"fallback": 5, "late": 1}, "most are answers that the model did not make itself"),
        ({"late": 5, "fallback": 1}, "no answer's time to earn is over"),
        ({"certain": 5, "overridden": 1}, "no answer was explored"),
    ],
)
def test_why_nothing_is_left(left_out: dict[str, int], why: str) -> None:
    """Without an answer to weigh, the verdict says what most were left out for."""
    nothing = dict.fromkeys((field.name for field in fields(AnswerCounts)), 0)
    counts = AnswerCounts(**{**nothing, "answered": 6, **left_out})
    (reason,) = LogEvaluation("small", LOGGED, LogWindow(LOGGED), counts, None).verdict.reasons
    assert why in reason
