"""The controller: it acts on evidence and on nothing else, alone, and goes on where another one died."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from structlog.testing import capture_logs
from tests.delivery.rollouts.answering import Behaviour, World

from orita.control.deployments import Deployments
from orita.control.leases import Lease, Leases
from orita.core.clock import ManualClock
from orita.core.errors import Unavailable, UserError
from orita.core.home import Home
from orita.delivery.rollouts import CANARY_STEPS, Checks, MetricCheck, RolloutPlan, Rollouts, Step
from orita.delivery.rollouts.controller import LEASE_SECONDS, Controller
from orita.delivery.rollouts.evidence import Evidence
from orita.delivery.rollouts.outcomes import Outcomes, OutcomesSince
from orita.delivery.rollouts.rollouts import lease_name
from orita.delivery.rollouts.standing import Standing, Standings
from orita.delivery.rollouts.trouble import Trouble
from orita.events.log.embedded import EmbeddedLog

ME: dict[str, Any] = {"actor": "ann", "reason": "because"}
CHECKS = Checks(metric=MetricCheck(window_seconds=2, most_loss=0.1))
STEPS = (Step(20, 0, 50), Step(100, 0, 50))
OLD = Behaviour(click=0.3)


class Scene:
    """A home with a champion, users, and a rollout."""

    def __init__(self, home: Home, new: Behaviour, **plan: Any) -> None:
        self.home, self.clock = home, ManualClock(datetime.now(UTC))
        Deployments(home.control, clock=self.clock).deploy("feed", "a", **ME)
        self.rollouts = Rollouts(home.control, clock=self.clock)
        self.world = World(home, self.clock, {"a": OLD, "b": new, "c": OLD}, per_second=150)
        given: dict[str, Any] = {"strategy": "canary", "versions": ("b",), "steps": STEPS, "checks": CHECKS}
        given |= ({"soak_seconds": 0.0} if "strategy" not in plan else {}) | plan
        self.id = self.rollouts.start("feed", RolloutPlan(**given), **ME).id

    def controller(self, holder: str = "one", **options: Any) -> Controller:
        """Return a controller of this home."""
        log = EmbeddedLog(self.home, self.clock)
        return Controller(self.home, log, holder=holder, clock=self.clock, **options)

    def seconds(self, seconds: int, *controllers: Controller) -> list[str]:
        """Let users come and controllers look; return what was done."""
        done = []
        for _ in range(seconds):
            current = self.rollouts.current("feed").routing
            if current is None:
                break
            self.world.second(current)
            done += [acted.did for each in controllers for acted in each.look() if acted.did != "nothing"]
        return done

    @property
    def state(self) -> str:
        """What became of the rollout."""
        found = self.rollouts.current("feed").find(self.id)
        assert found is not None
        return found.state

    @property
    def types(self) -> list[str]:
        """What was decided."""
        return [event.type for event in self.rollouts.history("feed")]

    def trouble(self) -> Trouble | None:
        """What its standing says of the controller's trouble."""
        return self.standing().trouble

    def standing(self) -> Standing:
        """How it stands."""
        found = self.rollouts.current("feed").find(self.id)
        assert found is not None
        return Standings(self.home.control, clock=self.clock).of(found)

    @property
    def deployed(self) -> str:
        """The champion."""
        now = Deployments(self.home.control).current("feed")
        assert now is not None
        return now.version


@pytest.fixture
def scene(tmp_path: Path) -> Callable[..., Scene]:
    """Return what makes a scene."""
    return lambda new=OLD, **plan: Scene(Home(tmp_path), new, **plan)


def test_a_good_version_is_promoted(scene: Callable[..., Scene]) -> None:
    """Step by step, each decision with its evidence; the lease is given back when there is nothing left to do."""
    made = scene(Behaviour(click=0.45))
    controller = made.controller()
    assert made.seconds(40, controller)[-1] == "promoted"
    assert (made.state, made.deployed) == ("promoted", "b")
    assert made.types == ["started", "judged", "advanced", "judged", "promoted"]
    advanced = made.rollouts.history("feed")[2]
    assert advanced.actor == "controller one"
    assert '"metric b"' in advanced.body
    assert controller.look() == []
    assert Leases(made.home.control, clock=made.clock).holder(lease_name("feed")) is None


@pytest.mark.parametrize("new", [Behaviour(failing=1.0), Behaviour(latency_ms=62.0), Behaviour(click=0.1)])
def test_harm_is_taken_back(scene: Callable[..., Scene], new: Behaviour) -> None:
    """Failures and delay within seconds, fewer clicks when they are known; the champion stays deployed."""
    made = scene(new)
    made.seconds(40, made.controller())
    assert (made.state, made.deployed) == ("rolled_back", "a")
    taken = (made.clock.now() - made.rollouts.history("feed")[0].at).total_seconds()
    assert taken <= (30 if new.click < OLD.click else 6)


def test_a_pause_stops_the_way_up(scene: Callable[..., Scene]) -> None:
    """A good version stays where it is, and is told of; resumed it goes on at once."""
    made = scene(Behaviour(click=0.45))
    controller = made.controller()
    made.rollouts.pause("feed", **ME)
    assert made.seconds(40, controller) == []
    told = made.standing()
    assert (told.state, told.step, told.verdict, told.looked_at is None) == ("paused", 1, "advance", False)
    made.rollouts.resume("feed", **ME)
    assert made.seconds(1, controller) == ["advanced"]


def test_a_pause_does_not_stop_the_way_back(scene: Callable[..., Scene]) -> None:
    """Who pauses to look at it, or forgets it, leaves no user with a version that fails."""
    made = scene(Behaviour(failing=1.0))
    made.rollouts.pause("feed", **ME)
    assert made.seconds(6, made.controller()) == ["rolled_back"]
    assert (made.state, made.deployed) == ("rolled_back", "a")


def test_a_rollout_whose_champion_went_is_aborted(scene: Callable[..., Scene]) -> None:
    """Somebody deployed by hand: nothing is compared with what nobody has."""
    made = scene()
    Deployments(made.home.control, clock=made.clock).deploy("feed", "z", **ME)
    assert made.seconds(1, made.controller()) == ["aborted"]
    assert made.rollouts.current("feed").ended[0].why.startswith("z is deployed since, not a")
    assert made.deployed == "z"


def test_a_log_that_cannot_be_read_takes_nobody_back(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, later each time, and begins anew, so that half of a reading is no evidence."""
    made = scene(Behaviour(failing=1.0))
    controller = made.controller()
    tried: list[datetime] = []
    with monkeypatch.context() as patch:

        def fails(*_: object) -> object:
            tried.append(made.clock.now())
            raise OSError(5, "Input/output error")

        patch.setattr(Evidence, "looks", fails)
        assert made.seconds(10, controller) == []
    assert made.state == "running"
    assert 3 <= len(tried) <= 4
    made.clock.advance(timedelta(seconds=60))
    assert made.seconds(2, controller) == ["rolled_back"]


def test_its_trouble_is_told(scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is, since when, what to do; the beginning stays, and all of it goes with the first look that is made."""
    made = scene()
    controller = made.controller()
    made.seconds(2, controller)
    assert made.trouble() is None
    errors = [OSError(5, "Input/output error"), UserError("no file x: give y."), ZeroDivisionError("division")]
    since = made.clock.now()
    said: list[Trouble] = []
    with monkeypatch.context() as patch:
        for error in errors:

            def fails(*_: object, error: Exception = error) -> object:
                raise error

            patch.setattr(Evidence, "looks", fails)
            made.clock.advance(timedelta(seconds=5))
            made.seconds(1, controller)
            told = made.trouble()
            assert told is not None
            said.append(told)
    assert [each.what for each in said] == [str(errors[0]), str(errors[1]), "ZeroDivisionError: division"]
    assert "can read the home" in said[0].remedy and "Do what the sentence says" in said[1].remedy
    assert since < said[0].since == said[2].since < made.clock.now()
    made.clock.advance(timedelta(seconds=60))
    made.seconds(1, controller)
    assert made.trouble() is None


def test_an_attribute_that_no_request_names_is_told(scene: Callable[..., Scene]) -> None:
    """All fall to the champion: while segments are open, and of Parquet; users who are only left out are no trouble."""
    made = scene(by=("session", "account"))
    controller = made.controller()
    made.seconds(3, controller)
    told = made.trouble()
    assert told is not None
    assert told.what.startswith("None of 300 requests takes part, all fall to the champion: none of them names")
    assert "'session' or 'account', by which the rollout splits" in told.what
    made.world.answers.rotate()
    controller.release()
    made.clock.advance(timedelta(seconds=2))
    made.controller("two").look()
    again = made.trouble()
    assert again is not None
    assert again.what.startswith("None of 450 requests takes part")
    made.rollouts.abort("feed", **ME)
    nobody = {"is": "in", "attribute": "country", "values": ["SE"]}
    plan = msgspec.convert(
        {"strategy": "segment", "versions": ["b"], "audience": nobody, "by": ["session"]}, RolloutPlan
    )
    made.id = made.rollouts.start("feed", plan, **ME).id
    made.seconds(3, made.controller("two"))
    assert made.trouble() is None


def test_trouble_is_of_whoever_acts(scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept while the lease is renewed, written once, and another controller's is its own."""
    made = scene()
    one, other = made.controller("one"), made.controller("other")
    written: list[str | None] = []
    tell = Leases.tell
    with monkeypatch.context() as patch:

        def fails(*_: object) -> object:
            raise OSError(5, "Input/output error")

        def told(leases: Leases, lease: Lease, note: str | None) -> None:
            written.append(note)
            tell(leases, lease, note)

        patch.setattr(Evidence, "looks", fails)
        patch.setattr(Leases, "tell", told)
        made.seconds(int(3 * LEASE_SECONDS), one)
        assert made.trouble() is not None
        assert len(written) == 1
    one.release()
    assert made.trouble() is None
    made.seconds(2, other)
    assert made.trouble() is None


def test_a_lease_that_is_lost_keeps_no_trouble(scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    """Control state that is away when it is to be told of is no trouble of the next look."""
    made = scene()
    controller = made.controller()
    with monkeypatch.context() as patch:

        def fails(*_: object) -> object:
            raise OSError(5, "Input/output error")

        def away(*_: object) -> None:
            raise Unavailable("control state cannot be used now.")

        patch.setattr(Evidence, "looks", fails)
        patch.setattr(Leases, "tell", away)
        with capture_logs() as lines:
            made.seconds(1, controller)
    assert [each["event"] for each in lines if each["log_level"] == "warning"] == ["trouble_not_said"]
    made.clock.advance(timedelta(seconds=5))
    assert made.seconds(2, controller) == ["judged"]
    assert made.trouble() is None


def test_what_a_verdict_rests_on_is_told_as_it_grows(scene: Callable[..., Scene]) -> None:
    """The verdict is one event; its figures are as of some seconds ago, and say when; also while it is paused."""
    made = scene(steps=(Step(20, 3600, 50), Step(100, 0, 50)))
    controller = made.controller()
    users = []
    for _ in range(4):
        made.seconds(10, controller)
        told = made.standing()
        assert told.looked_at is not None
        assert (made.clock.now() - told.looked_at).total_seconds() <= 6
        users.append(told.evidence["checks"]["errors b"]["users"])
    assert users == sorted(set(users))
    assert (told.verdict, made.types[-1]) == ("hold", "judged")
    made.rollouts.pause("feed", **ME)
    made.seconds(10, controller)
    assert made.standing().evidence["checks"]["errors b"]["users"] > users[-1]
    controller.release()
    assert made.standing().looked_at is None
    assert made.standing().evidence["checks"]["errors b"]["users"] <= users[0]


def test_a_long_reading_holds_the_lease(scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also before its first look: another controller that looks meanwhile gets no lease, and the first one decides."""
    made = scene(Behaviour(failing=1.0))
    made.seconds(8)
    first, second = made.controller("one"), made.controller("two")
    read = OutcomesSince.new

    times = np.empty(0, np.int64)
    nothing = Outcomes(np.empty(0, np.uint64), np.empty(0, bool), times, times, np.empty((0, 1)))

    def slowly(outcomes: OutcomesSince, until: int) -> Iterator[Outcomes]:
        for _ in range(6):
            made.clock.advance(timedelta(seconds=4))
            yield nothing
            assert second.look() == []
        yield from read(outcomes, until)

    monkeypatch.setattr(OutcomesSince, "new", slowly)
    assert [acted.did for acted in first.look()] == ["rolled_back"]
    assert made.rollouts.history("feed")[-1].actor == "controller one"


@pytest.mark.parametrize("minutes", [-1, 1])
def test_a_clock_that_is_off_holds_the_lease(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    """It is renewed by seconds that passed: its end is told by another clock than that of the controller's machine."""
    made = scene()
    first, second = made.controller("one"), made.controller("two")
    off = ManualClock(made.clock.now() + timedelta(minutes=minutes))
    monkeypatch.setattr(first, "_clock", off)
    for _ in range(5):
        first.look()
        assert second.look() == []
        for clock in (made.clock, off):
            clock.advance(timedelta(seconds=0.6 * LEASE_SECONDS))


def test_two_of_one_name_do_not_both_act(scene: Callable[..., Scene]) -> None:
    """As two containers that are called alike."""
    made = scene(Behaviour(failing=1.0))
    one, other = made.controller("pod/1"), made.controller("pod/1")
    assert [acted.did for acted in one.look()] == ["judged"]
    assert other.look() == []


def test_a_metric_that_no_event_has_is_trouble(scene: Callable[..., Scene]) -> None:
    """The other checks go on, and whoever looks is told that this one counts nothing."""
    made = scene(checks=Checks(metric=MetricCheck(name="clik", window_seconds=2)))
    made.seconds(4, made.controller())
    told = made.trouble()
    assert told is not None
    assert "No event of interactions has the column 'clik'" in told.what
    assert "'click'" in told.what
    assert "abort, and begin again" in told.remedy


def test_the_registry_follows(scene: Callable[..., Scene]) -> None:
    """Once, after the promotion; where it fails it is told once, tried again, and hurts no look."""
    made = scene(Behaviour(click=0.45))
    asked: list[str] = []
    deployed: list[str] = []

    def follow(system: str) -> None:
        asked.append(system)
        deployed.append(made.deployed)
        if len(asked) < 3:
            raise OSError("the registry is away")

    controller = made.controller(follow=follow)
    with capture_logs() as lines:
        assert made.seconds(40, controller)[-1] == "promoted"
        for _ in range(8):
            controller.release()
            made.clock.advance(timedelta(seconds=1))
            assert controller.look() == []
        controller.release()
    assert (asked, deployed) == (["feed"] * 3, ["b"] * 3)
    told = [line["event"] for line in lines if line["event"].startswith("registry")]
    assert told == ["registry_not_followed", "registry_followed"]
    again = made.controller("two", follow=follow)
    again.look()
    again.release()
    assert len(asked) == 4
    made.clock.advance(timedelta(days=2))
    later = made.controller("three", follow=follow)
    later.look()
    later.release()
    assert len(asked) == 4


def test_a_registry_that_hangs_holds_nothing_up(scene: Callable[..., Scene]) -> None:
    """Looks go on beside it."""
    made = scene(Behaviour(click=0.45))
    asked, goes_on = threading.Event(), threading.Event()

    def hangs(_system: str) -> None:
        asked.set()
        goes_on.wait()

    controller = made.controller(follow=hangs)
    try:
        assert made.seconds(40, controller)[-1] == "promoted"
        controller.look()
        assert asked.wait(60)
        plan = RolloutPlan(strategy="canary", versions=("c",), steps=STEPS, checks=CHECKS)
        made.rollouts.start("feed", plan, **ME)
        assert made.seconds(3, controller) == ["judged"]
    finally:
        goes_on.set()
        controller.release()


def test_of_two_one_acts(scene: Callable[..., Scene]) -> None:
    """The other stands by, and takes over when the lease of one that died is over; it comes to the same."""
    made = scene(Behaviour(click=0.45))
    first, second = made.controller("first"), made.controller("second")
    done = made.seconds(5, first, second)
    assert done == ["judged"]
    assert second.look() == []
    # The first is killed: it does not look any more, and does not give its lease back.
    made.seconds(int(LEASE_SECONDS) + 30, second)
    assert made.state == "promoted"
    actors = {event.actor for event in made.rollouts.history("feed")[2:]}
    assert actors == {"controller second"}


def test_one_that_wakes_up_does_nothing(scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    """It was stopped between looking and acting; meanwhile another one took over. Its decision is refused."""
    made = scene(Behaviour(failing=1.0))
    first, second = made.controller("first"), made.controller("second")
    stalled, awake = threading.Event(), threading.Event()
    act = first._act

    def stall(*given: Any) -> Any:
        stalled.set()
        assert awake.wait(60)
        return act(*given)

    made.seconds(4)
    monkeypatch.setattr(first, "_act", stall)
    looked: list[Any] = []
    thread = threading.Thread(target=lambda: looked.extend(first.look()))
    thread.start()
    assert stalled.wait(60)
    made.clock.advance(timedelta(seconds=LEASE_SECONDS + 1))
    acted = second.look()
    assert [each.did for each in acted] == ["rolled_back"]
    before = made.types
    awake.set()
    thread.join()
    assert looked == []
    assert made.types == before
    assert made.types.count("rolled_back") == 1


def test_two_at_once_decide_once(scene: Callable[..., Scene]) -> None:
    """Threads that look at the same time, as often as they can: one decision of each kind."""
    made = scene(Behaviour(failing=1.0))
    made.seconds(4)
    threads = [threading.Thread(target=made.controller(f"c{n}").look) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.types.count("rolled_back") == 1
    assert made.state == "rolled_back"


def test_shares_of_a_bandit_stand_still_while_somebody_has_to_look(scene: Callable[..., Scene]) -> None:
    """Scores of another kind: the version keeps its share, whatever its clicks, until it is acknowledged."""
    made = scene(Behaviour(click=0.6, score=9.0), strategy="bandit", versions=("b",), shares=(20,), steps=CANARY_STEPS)
    done = made.seconds(24, made.controller(reweigh_seconds=20))
    assert set(done) == {"judged"}


def test_shares_of_a_bandit_follow(scene: Callable[..., Scene]) -> None:
    """What is better gets more, once the time between two changes is over; with the evidence it rests on."""
    made = scene(Behaviour(click=0.6), strategy="bandit", versions=("b", "c"), shares=(20, 20), steps=CANARY_STEPS)
    done = made.seconds(24, made.controller(reweigh_seconds=20))
    assert done == ["judged", "judged", "reweighted", "judged"]
    shares = made.rollouts.current("feed").live[0].shares
    assert shares["b"] == pytest.approx(90, abs=1)
    assert sum(shares.values()) == pytest.approx(100)


def test_only_the_systems_that_it_is_for(scene: Callable[..., Scene]) -> None:
    """Rollouts of others are left alone; without any it looks and does nothing."""
    made = scene(Behaviour(failing=1.0))
    assert made.seconds(5, made.controller(systems=["other"])) == []
    assert made.state == "running"


def test_it_runs_until_it_is_stopped(scene: Callable[..., Scene]) -> None:
    """It tells what each look came to, and gives its leases back."""
    made = scene()
    stopping = threading.Event()
    told: list[str] = []

    def tell(acted: Any) -> None:
        told.append(acted.did)
        stopping.set()

    made.controller().run(0.01, stopping, tell)
    assert told == ["judged"]
    assert Leases(made.home.control, clock=made.clock).holder(lease_name("feed")) is None
