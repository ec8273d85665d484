"""The loop of retraining: a decision, what becomes of it, and who is told; after a kill nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.features.small_system import NOW
from tests.pipelines.retraining.made_retraining import decided, deployed, surroundings
from tests.pipelines.test_retraining import Entry, Registry

from orita.control.deployments import Deployments
from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.delivery.rollouts.rollouts import Rollouts
from orita.monitoring.alerting.book import AlertBook
from orita.pipelines.gates.finding import GateFinding
from orita.pipelines.graph import RunOptions, run_graph
from orita.pipelines.retraining import graph as retraining
from orita.pipelines.retraining import rolling_out
from orita.pipelines.retraining.record import Decision, RetrainingState
from orita.pipelines.retraining.watching import record_of, watch_promoted
from orita.pipelines.workspace import Workspace

CHAMPION, CHALLENGER = "v1.1.0", "v1.2.0"


class Killed(BaseException):
    """Stands for ``kill -9``: nothing that runs afterwards sees it."""


class Deploying(Registry):
    """A registry whose promotions and rollbacks are deployments, as those of the real one."""

    def __init__(self, deployments: Deployments, system: str) -> None:
        current = deployments.current(system)
        super().__init__(current.version if current else None)
        self._deployments = deployments

    def promote(self, system: str, version: str, *, actor: str, reason: str) -> Entry:
        """Deploy."""
        self._deployments.deploy(system, version, actor=actor, reason=reason)
        return super().promote(system, version, actor=actor, reason=reason)

    def rollback(self, system: str, *, actor: str, reason: str) -> Entry:
        """Take the latest deployment back."""
        return Entry(self._deployments.rollback(system, actor=actor, reason=reason).version)

    def publish(self, system: str, version: str) -> Entry:
        """Publish nothing."""
        return Entry(version)

    def reconcile(self, system: str) -> None:
        """Agree."""


Made = Callable[..., Workspace]


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Return what makes surroundings in which v1.1.0 serves and every training brings v1.2.0, which is better."""

    def made(*, better: bool = True, gates: tuple[GateFinding, ...] = (), **declared: Any) -> Workspace:
        workspace = surroundings(tmp_path, triggers={"scheduled": None}, **declared)
        deployments = deployed(workspace, CHAMPION)
        monkeypatch.setattr(Workspace, "catalogue", lambda _: Deploying(deployments, workspace.system.name))
        monkeypatch.setattr(retraining, "load_package", lambda _: None)

        def train(workspace: Workspace, results: Mapping[str, Any]) -> dict[str, Any]:
            if "skipped" in results["fetch_recent_data"]:
                return dict(results["fetch_recent_data"])
            (decision,) = record_of(workspace).state(workspace.system.name).decisions[:1]
            named = {"seconds": 5.0, "data_to": NOW.isoformat(), "actor": "ada"}
            record_of(workspace).trained(workspace.system.name, decision.id, CHALLENGER, **named)  # type: ignore[arg-type]
            return {"version": CHALLENGER}

        def compare(workspace: Workspace, results: Mapping[str, Any]) -> dict[str, Any]:
            if "skipped" in results["fetch_recent_data"]:
                return dict(results["fetch_recent_data"])
            verdict = {
                "challenger": CHALLENGER,
                "champion": CHAMPION,
                "better": better,
                "why": "AUC +0.01",
                "steps": [],
            }
            return verdict | {"gates": [gate.to_dict() for gate in gates]}

        def push(workspace: Workspace, results: Mapping[str, Any]) -> dict[str, Any]:
            verdict = results["compare_with_production"]
            if verdict["better"]:
                Deploying(deployments, "small").promote("small", CHALLENGER, actor="ada", reason=verdict["why"])
            return {"promoted": verdict["better"], "champion": CHALLENGER, "why": verdict["why"]}

        found = {
            "fetch_recent_data": lambda w, r: {} if r["check_trigger_conditions"]["retrain"] else {"skipped": "no"}
        }
        found |= {"trigger_etl": lambda w, r: {}, "trigger_training": train, "evaluate_new_model": lambda w, r: {}}
        for name, body in (found | {"compare_with_production": compare, "promote_if_better": push}).items():
            monkeypatch.setattr(retraining, name, body)
        return workspace

    return made


def ran(workspace: Workspace, **options: Any) -> dict[str, Any]:
    """Retrain by force, and return what the last task said."""
    report = run_graph(retraining.retraining_graph(force=True), workspace, RunOptions(**options))
    return report.results["promote_if_better"]


def state(workspace: Workspace) -> RetrainingState:
    """Return how retraining stands."""
    return record_of(workspace).state(workspace.system.name)


def deployments_of(workspace: Workspace) -> list[str]:
    """Return every version that was deployed, in order."""
    log = Deployments(workspace.home.control, workspace.home.tenant)
    return [each.version for each in log.history(workspace.system.name)]


def firing(workspace: Workspace) -> list[str]:
    """Return the names of the alerts that fire."""
    with closing(AlertBook(workspace.monitoring.alerting.book(workspace.home.reports))) as book:
        return [each.name for each in book.alerts() if each.firing]


def later(workspace: Workspace, hours: float) -> Workspace:
    """Return the same surroundings so much later."""
    return replace(workspace, clock=ManualClock(workspace.clock.now() + timedelta(hours=hours)))


def test_nothing_asks(loop: Made) -> None:
    """That nothing is due is a decision too, with every condition that was looked at."""
    workspace = loop()
    told = run_graph(retraining.retraining_graph(), workspace).results
    assert told["promote_if_better"] == {"skipped": "no"}
    (event,) = record_of(workspace).history(workspace.system.name)
    conditions = msgspec.json.decode(event.body)["evidence"]["conditions"]
    assert [each["name"] for each in conditions] == ["feature_drift", "performance_degradation", "scheduled"]
    assert state(workspace).latest == Decision(
        id=told["check_trigger_conditions"]["decision"],
        at=NOW,
        retrain=False,
        champion=CHAMPION,
        outcome="not_due",
    )


def test_what_is_better_is_promoted_and_watched(loop: Made) -> None:
    """The decision has the model, the reason and until when it is watched."""
    workspace = loop(watch={"hours": 5})
    assert ran(workspace)["promoted"]
    (decision,) = state(workspace).decisions
    assert (decision.outcome, decision.version, decision.why) == ("promoted", CHALLENGER, "AUC +0.01")
    assert decision.watch_until == NOW + timedelta(hours=5)
    assert deployments_of(workspace) == [CHAMPION, CHALLENGER]


@pytest.mark.parametrize(("allows", "outcome"), [(True, "kept"), (False, "refused")])
def test_what_is_not_better_is_kept(loop: Made, allows: bool, outcome: str) -> None:
    """Whether rows or a gate refused is told apart; what the gates found is among the evidence."""
    workspace = loop(better=False, gates=(GateFinding("size", "pass" if allows else "fail", "large", allows),))
    ran(workspace)
    assert state(workspace).decisions[0].outcome == outcome
    body = msgspec.json.decode(record_of(workspace).history(workspace.system.name)[-1].body)
    assert body["evidence"]["gates"][0]["sentence"] == "large"
    assert deployments_of(workspace) == [CHAMPION]


def test_a_kill_after_the_promotion_promotes_nothing_twice(loop: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a person took the version back before the run was gone on with."""
    workspace = loop()
    push: Any = vars(retraining)["promote_if_better"]

    def killed(workspace: Workspace, results: Mapping[str, Any]) -> dict[str, Any]:
        push(workspace, results)
        raise Killed

    monkeypatch.setattr(retraining, "promote_if_better", killed)
    with pytest.raises(Killed):
        ran(workspace)
    assert deployments_of(workspace) == [CHAMPION, CHALLENGER]
    Deployments(workspace.home.control).rollback(workspace.system.name, actor="eve", reason="worse")
    monkeypatch.setattr(retraining, "promote_if_better", push)
    ran(workspace, resume="last")
    assert deployments_of(workspace) == [CHAMPION, CHALLENGER, CHAMPION]
    assert [each.outcome for each in state(workspace).decisions] == ["promoted"]
    assert watch_promoted(workspace) is not None
    (decision,) = state(workspace).decisions
    assert decision.outcome == "rolled_back" and "eve: worse" in decision.why


def test_a_run_that_was_killed_for_good_is_a_failure(loop: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next decision notes its end; what it had promoted before the kill counts as promoted."""
    workspace = loop()
    decided(workspace)
    monkeypatch.setattr(retraining, "trigger_training", retraining.trigger_etl)
    ran(workspace)
    assert [each.outcome for each in state(workspace).decisions] == ["promoted", "failed"]
    assert "was killed" in state(workspace).decisions[1].why


def test_failures_in_a_row_stop_it_and_somebody_is_told(loop: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second failure is one too many here: an alert fires, and even --force waits for 'resume'."""
    workspace = loop(stop_after_failures=2)

    def broken(workspace: Workspace, results: Mapping[str, Any]) -> dict[str, Any]:
        if "skipped" in results["fetch_recent_data"]:
            return dict(results["fetch_recent_data"])
        raise OSError("no space left")

    monkeypatch.setattr(retraining, "trigger_training", broken)
    for failures in (1, 2):
        with pytest.raises(OSError, match="no space"):
            ran(workspace)
        assert state(workspace).failures == failures
        assert set(firing(workspace)) == {"PIPELINE_FAILED", *(["RETRAINING_STOPPED"] if failures == 2 else [])}
    assert state(workspace).decisions[0].why == "trigger_training_dag: no space left"
    with pytest.raises(UserError, match=r"stopped since .*2 failures in a row.*orita retraining resume"):
        ran(workspace)
    held = run_graph(retraining.retraining_graph(), later(workspace, 1)).results["check_trigger_conditions"]
    assert held["retrain"] is False


def test_a_spent_budget_holds_even_what_is_forced(loop: Made) -> None:
    """And says by what."""
    workspace = loop(budget={"runs": 1})
    ran(workspace)
    with pytest.raises(UserError, match=r"1 trainings in 7 days, 1 are allowed"):
        ran(later(workspace, 1))
    assert ran(later(workspace, 24 * 8)) is not None


def test_a_declared_rollout_begins_instead(loop: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody gets the version but by the plan; killed and gone on with it begins once; its end is the decision's."""
    workspace = loop(rollout={"steps": [{"share": 10}, {"share": 100}]}, stop_after_failures=1)
    package = type("Package", (), {"schema": workspace.system.schema()})
    monkeypatch.setattr(rolling_out, "load_package", lambda _: package)
    told = ran(workspace)
    assert (told["promoted"], told["strategy"]) == (False, "canary")
    rollouts = Rollouts(workspace.home.control)
    rollout = rollouts.under_way(workspace.system.name)
    assert rollout.plan.versions == (CHALLENGER,) and told["rollout"] == rollout.id
    (decision,) = state(workspace).decisions
    again = rolling_out.begin_rollout(workspace, CHALLENGER, decision.id, "again")
    assert again.id == rollout.id
    assert deployments_of(workspace) == [CHAMPION]
    assert (decision.outcome, decision.rollout) == ("rollout", rollout.id)
    watched = watch_promoted(workspace)
    assert watched is not None and watched["outcome"] == "rollout"
    held = run_graph(retraining.retraining_graph(), later(workspace, 1)).results["check_trigger_conditions"]
    assert held["retrain"] is False
    rollouts.roll_back(workspace.system.name, rollout.id, actor="controller", reason="slower", evidence={})
    watch_promoted(workspace)
    (decision,) = state(workspace).decisions
    assert decision.outcome == "rolled_back" and "slower" in decision.why
    assert firing(workspace) == ["RETRAINING_STOPPED"]


def test_a_rollout_that_promotes_is_watched(loop: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its end on the version is held against the one before, as after a promotion at once."""
    workspace = loop(rollout={})
    package = type("Package", (), {"schema": workspace.system.schema()})
    monkeypatch.setattr(rolling_out, "load_package", lambda _: package)
    ran(workspace)
    Rollouts(workspace.home.control).promote(workspace.system.name, actor="controller", reason="no harm")
    watched = watch_promoted(workspace)
    assert watched is not None and watched["outcome"] == "promoted"
    assert "not enough answers to v1.2.0 yet" in watched["why"]
    assert state(workspace).decisions[0].looks == 1
