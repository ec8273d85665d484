"""Whatever commands come in whatever order, a rollout is in a legal state, and its events say what is kept."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orita.control.deployments import Deployments
from orita.core.errors import OritaError
from orita.delivery.rollouts import ROLLOUT, Rollout, RolloutPlan, Rollouts, Step
from orita.delivery.rollouts.rollout import Beyond

ME: dict[str, Any] = {"actor": "ann", "reason": "because"}
BEYOND = Beyond(check="scores", version="b", why="they differ")
NEXT = {
    "running": {"running", "paused", "promoted", "aborted", "rolled_back"},
    "paused": {"running", "paused", "promoted", "aborted", "rolled_back"},
    "promoted": {"promoted"},
    "aborted": {"aborted"},
    "rolled_back": {"rolled_back"},
}
PLANS = [
    RolloutPlan(strategy="canary", versions=("b",), steps=(Step(5), Step(50), Step(100))),
    RolloutPlan(strategy="blue_green", versions=("b",)),
    RolloutPlan(strategy="ab", versions=("b", "c"), shares=(20, 20)),
    RolloutPlan(strategy="bandit", versions=("b",)),
    RolloutPlan(strategy="shadow", versions=("b",)),
]


class RolloutMachine(RuleBasedStateMachine):
    """Any commands; a command that is refused changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.mkdtemp()
        self.rollouts = Rollouts(Path(self._folder) / "control.db")
        self.deployments = Deployments(self.rollouts.log.database)
        self.deployments.deploy("feed", "a", **ME)
        self.states: dict[str, str] = {}
        self.seen: list[Rollout] = []

    def teardown(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self._folder)

    def _do(self, command: Callable[[], object]) -> None:
        before = self.rollouts.current("feed")
        try:
            command()
        except OritaError:
            assert self.rollouts.current("feed") == before

    @rule(plan=st.sampled_from(PLANS))
    def start(self, plan: RolloutPlan) -> None:
        """Begin one."""
        self._do(lambda: self.rollouts.start("feed", plan, **ME))

    @rule(what=st.sampled_from(["pause", "resume", "abort", "promote"]))
    def command(self, what: str) -> None:
        """A command of people."""
        self._do(lambda: getattr(self.rollouts, what)("feed", **ME))

    @rule(what=st.sampled_from(["advance", "hold", "acknowledge", "roll_back", "reweigh"]), age=st.integers(0, 3))
    def controller(self, what: str, age: int) -> None:
        """A command of a controller that may have looked a while ago."""
        if not self.seen:
            return
        seen = self.seen[max(len(self.seen) - 1 - age, 0)]
        commands: dict[str, Callable[[], object]] = {
            "advance": lambda: self.rollouts.advance(seen, **ME),
            "hold": lambda: self.rollouts.judge(seen, "hold", "", actor="c", evidence={}),
            "acknowledge": lambda: self.rollouts.acknowledge(seen, [BEYOND], **ME),
            "roll_back": lambda: self.rollouts.roll_back("feed", seen.id, evidence={}, seen=seen, **ME),
            "reweigh": lambda: self.rollouts.reweigh(seen, dict.fromkeys(seen.plan.versions, 15.0), **ME),
        }
        self._do(commands[what])

    @rule(version=st.sampled_from(["a", "z"]))
    def deploy(self, version: str) -> None:
        """Somebody deploys by hand."""
        self._do(lambda: self.deployments.deploy("feed", version, **ME))

    @invariant()
    def is_legal(self) -> None:
        """States follow each other as they may; shares make a whole; one rollout at most changes answers."""
        state = self.rollouts.current("feed")
        assert sum(each.plan.routes for each in state.live) <= 1
        for each in (*state.live, *state.ended):
            assert each.state in NEXT[self.states.get(each.id, "running")]
            assert abs(sum(each.shares.values()) - 100) < 1e-9
            assert each.ended == (each.ended_at is not None) == (each not in state.live)
            assert (each.winner is not None) == (each.state == "promoted")
            self.states[each.id] = each.state
        if state.live:
            self.seen.append(state.live[0])

    @invariant()
    def is_what_its_events_say(self) -> None:
        """Versions have no gap, everything has who, when and why, and a replay gives what is kept."""
        history = self.rollouts.history("feed")
        assert [event.version for event in history] == list(range(1, len(history) + 1))
        assert all(event.actor and event.at for event in history)
        if history:
            assert ROLLOUT.folded(history) == self.rollouts.current("feed")


RolloutMachine.TestCase.settings = settings(
    max_examples=4, stateful_step_count=16, deadline=None, suppress_health_check=list(HealthCheck)
)
TestRollouts = RolloutMachine.TestCase
