"""The controller: it acts on evidence and on nothing else, alone, and goes on where another one died."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.delivery.rollouts.answering import Behaviour, World

from orita.control.deployments import Deployments
from orita.control.leases import Leases
from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.delivery.rollouts import Checks, MetricCheck, RolloutPlan, Rollouts, Step
from orita.delivery.rollouts.controller import LEASE_SECONDS, Controller
from orita.delivery.rollouts.evidence import Evidence
from orita.delivery.rollouts.rollouts import lease_name
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
        given: dict[str, Any] = {"strategy": "canary", "versions": ("b",), "steps": STEPS, "checks": CHECKS} | plan
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


def test_paused_it_does_nothing_and_goes_on_afterwards(scene: Callable[..., Scene]) -> None:
    """Harm that is seen while paused takes the version back when somebody resumes."""
    made = scene(Behaviour(failing=1.0))
    controller = made.controller()
    made.rollouts.pause("feed", **ME)
    assert made.seconds(6, controller) == []
    made.rollouts.resume("feed", **ME)
    assert made.seconds(1, controller) == ["rolled_back"]


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


def test_shares_of_a_bandit_follow(scene: Callable[..., Scene]) -> None:
    """What is better gets more, once the time between two changes is over; with the evidence it rests on."""
    made = scene(Behaviour(click=0.6), strategy="bandit", versions=("b", "c"), shares=(20, 20), steps=STEPS)
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
