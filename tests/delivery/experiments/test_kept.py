"""The life of an experiment in control state: what may happen when, what is refused, and who owns a layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.delivery.experiments.small_experiments import clicks, plan_of

from orita.control.events import ControlLog
from orita.control.replay import rebuild
from orita.core.clock import ManualClock
from orita.core.errors import NotFound, UserError
from orita.delivery.experiments import (
    EXPERIMENT,
    ExperimentFile,
    ExperimentPlan,
    Experiments,
    read_experiments,
    write_experiments,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WHO: dict[str, Any] = {"actor": "ana", "reason": "a test"}
EXPOSURES = {"kind": "file", "path": "exposures.parquet"}
EVENTS = {"kind": "file", "path": "events.parquet"}
GUARDRAIL = clicks(name="more", source="interactions", role="guardrail", margin=1.0)


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands at noon."""
    return ManualClock(NOW)


@pytest.fixture
def experiments(tmp_path: Path, clock: ManualClock) -> Experiments:
    """Return experiments of an empty control state."""
    return Experiments(tmp_path / "control.db", clock=clock)


def declare(experiments: Experiments, *plans: ExperimentPlan) -> int:
    """Declare plans and return how many changed."""
    return len(experiments.declare(ExperimentFile(experiments=plans), **WHO))


def test_from_draft_to_stopped(experiments: Experiments, clock: ManualClock) -> None:
    """Each step is an event with who and why, and the state follows from them."""
    assert declare(experiments, plan_of()) == 1
    assert declare(experiments, plan_of()) == 0
    experiments.start("colours", **WHO)
    clock.advance(timedelta(days=3))
    experiments.stop("colours", winner="B", actor="ben", reason="clicks rose")
    state = experiments.get("colours").state
    assert (state.status, state.started_at, state.stopped_at) == ("stopped", NOW, NOW + timedelta(days=3))
    assert (state.winner, state.conclusion) == ("B", "clicks rose")
    events = experiments.history("colours")
    assert [event.type for event in events] == ["declared", "started", "stopped"]
    assert [event.actor for event in events] == ["ana", "ana", "ben"]
    log = ControlLog(experiments.log.database, clock=clock)
    assert rebuild(log, {"experiment": EXPERIMENT}).different == ()


def test_only_the_next_step(experiments: Experiments, clock: ManualClock) -> None:
    """What does not fit its state is refused, with what to do; and nothing is written."""
    declare(experiments, plan_of())
    with pytest.raises(UserError, match="is draft: only a running one can be stopped"):
        experiments.stop("colours", **WHO)
    with pytest.raises(UserError, match="which is not over yet"):
        experiments.start("colours", at=NOW + timedelta(days=1), **WHO)
    experiments.start("colours", at=NOW - timedelta(days=9), **WHO)
    refusals: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: experiments.start("colours", **WHO), "is running: only a draft can be started"),
        (lambda: experiments.remove("colours", **WHO), "stop it first"),
        (lambda: experiments.stop("colours", winner="C", **WHO), "winner 'C' is no variant"),
        (lambda: experiments.stop("colours", at=NOW - timedelta(days=10), **WHO), "after its start"),
    )
    for refused, why in refusals:
        with pytest.raises(UserError, match=why):
            refused()
    with pytest.raises(NotFound, match="Did you mean 'colours'"):
        experiments.get("colour")
    assert len(experiments.history("colours")) == 2


def test_a_key_runs_once(experiments: Experiments, clock: ManualClock) -> None:
    """Neither stopped nor removed can it run again: the same users would be in it."""
    declare(experiments, plan_of())
    experiments.start("colours", **WHO)
    clock.advance(timedelta(days=1))
    experiments.stop("colours", **WHO)
    for _ in range(2):
        with pytest.raises(UserError, match="under a new key"):
            declare(experiments, plan_of(owner="ben"))
        if "colours" in experiments.all():
            experiments.remove("colours", **WHO)
    assert not experiments.all()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"variants": [{"name": "A", "weight": 40}, {"name": "B", "weight": 60}]}, "variants would move users"),
        ({"by": "device_id"}, "by would move users"),
        ({"audience": {"is": "present", "attribute": "country"}}, "audience would move users"),
        ({"holdouts": [{"name": "all", "percent": 1}]}, "holdouts would move users"),
        ({"alpha": 0.1}, "alpha would change what its decision rests on"),
        ({"control": "B"}, "control would change"),
        ({"analysis": {"kind": "fixed", "units": 100}}, "analysis would change"),
        ({"metrics": [clicks(effect=0.1)]}, "the primary metric would change"),
        ({"exposures": {"kind": "table", "table": "shown"}}, "change exposures in more than the path"),
        ({"exposures": {**EXPOSURES, "variant": "other"}}, "change exposures in more than the path"),
        ({"outcomes": {"events": {"kind": "table", "table": "events"}}}, r"change outcomes\.events in more than"),
        ({"outcomes": {"events": {**EVENTS, "time": "later"}}}, r"change outcomes\.events in more than"),
        ({"outcomes": {"events": EVENTS, "interactions": EVENTS}}, r"change outcomes\.interactions in more than"),
        ({"metrics": [clicks(), {**GUARDRAIL, "margin": 2.0}]}, "the guardrail 'more' would"),
    ],
)
def test_a_running_experiment_stays_what_it_is(experiments: Experiments, changes: dict[str, Any], why: str) -> None:
    """Nothing may change that moves users, or by which it is judged."""
    metrics = [clicks(), GUARDRAIL]
    declare(experiments, plan_of(*metrics))
    experiments.start("colours", **WHO)
    with pytest.raises(UserError, match=why):
        declare(experiments, plan_of(**{"metrics": metrics, **changes}))
    moved: dict[str, Any] = {
        "exposures": {**EXPOSURES, "path": "all/exposures.parquet"},
        "outcomes": {"events": {**EVENTS, "path": "all/events.parquet"}, "sales": {"kind": "table", "table": "sales"}},
    }
    fine = plan_of(*metrics, clicks(name="also", role="secondary", source="sales"), owner="ben", **moved)
    assert declare(experiments, fine) == 1
    assert experiments.get("colours").state.plan.owner == "ben"


def test_a_layer_is_shared(experiments: Experiments, clock: ManualClock) -> None:
    """Experiments of a layer own parts of it while they run, never the same, and give them back."""
    share = {"layer": {"name": "ranking", "percent": 60}}
    declare(experiments, plan_of(key="one", **share), plan_of(key="two", **share))
    experiments.start("one", **WHO)
    with pytest.raises(UserError, match="40 % free and 'two' wants 60 %"):
        experiments.start("two", **WHO)
    assignment = experiments.assignment("one")
    assigned = [assignment.assign({"user_id": user}).reason for user in range(500)]
    assert 0.5 < assigned.count("assigned") / 500 < 0.7
    clock.advance(timedelta(days=1))
    experiments.stop("one", **WHO)
    experiments.start("two", **WHO)
    assert list(experiments.layer("ranking").slices) == ["two"]
    with pytest.raises(UserError, match="is stopped, and assigns nobody"):
        experiments.assignment("one")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"control": "C"}, "control is 'C'"),
        ({"variants": [{"name": "A", "weight": 50}, {"name": "B", "weight": 40}]}, "sum to 90"),
        ({"variants": [{"name": "A", "weight": 50}, {"name": "A", "weight": 50}]}, "variant 'A' is there twice"),
        ({"metrics": [clicks(role="secondary")]}, "0 metrics are primary"),
        ({"metrics": [clicks(), clicks(name="b")]}, "2 metrics are primary"),
        ({"metrics": [clicks(effect=None)]}, "smallest change that matters"),
        ({"metrics": [clicks(window=None)]}, "window is missing"),
        ({"metrics": [clicks(window="7 days")]}, "window '7 days' is not understood"),
        ({"metrics": [clicks(source="sales")]}, "source is 'sales'"),
        ({"metrics": [clicks(kind="ratio", column=None)]}, "numerator is missing"),
        ({"metrics": [clicks(quantile=0.5)]}, "quantile is for another kind"),
        ({"metrics": [clicks(margin=1.0)]}, "only a guardrail has one"),
        ({"metrics": [clicks(kind="quantile", quantile=0.9, aggregate="rows")]}, "looked at once"),
        ({"metrics": [clicks(aggregate="max")]}, "a mean allows sum, any"),
        ({"analysis": {"kind": "fixed"}}, r"needs analysis\.units"),
        ({"exposures": {"kind": "file", "path": "a.xls"}}, r"\.parquet or \.csv"),
        ({"exposures": {"kind": "predictions", "rollout": "r"}, "by": "device"}, "users by user_id"),
        ({"overrides": [{"attribute": "user_id", "values": [1], "variant": "Z"}]}, "none of its variants"),
    ],
)
def test_what_contradicts_itself(changes: dict[str, Any], why: str) -> None:
    """Is refused when it is read, with the experiment's name."""
    file = ExperimentFile(experiments=(plan_of(**{"metrics": [clicks()], **changes}),))
    with pytest.raises(UserError, match=f"^experiment 'colours': .*{why}"):
        read_experiments(msgspec.json.encode(file), "json")


@pytest.mark.parametrize("fields", [{"effect": math.inf}, {"role": "guardrail", "margin": math.inf}])
def test_no_endless_number(fields: dict[str, Any]) -> None:
    """YAML knows .inf, control state does not: it would come back as nothing."""
    file = ExperimentFile(
        experiments=(plan_of(*([clicks()] if "role" in fields else []), clicks(**{"name": "endless", **fields})),)
    )
    with pytest.raises(UserError, match=r"metric 'endless': (effect|margin) is inf: give a finite number"):
        read_experiments(write_experiments(file))


@pytest.mark.parametrize("key", ["../x", "New ranking", "-x", "a/b"])
def test_a_key_is_a_name(key: str) -> None:
    """A key is part of paths, commands and salts, so it is a name as others are."""
    with pytest.raises(UserError, match=r"^experiment .* is not a name: use 1 to 63 lower-case letters"):
        read_experiments(write_experiments(ExperimentFile(experiments=(plan_of(key=key),))))


def test_files_are_read_strictly_and_written_back() -> None:
    """An unknown key is refused with its place; what is written reads equal; on is a name and no truth."""
    file = ExperimentFile(
        experiments=(plan_of(variants=[{"name": "on", "weight": 50}, {"name": "off", "weight": 50}], control="off"),)
    )
    assert read_experiments(write_experiments(file)) == file
    text = write_experiments(file).decode()
    with pytest.raises(UserError, match=r"unknown field `colour`.*experiments\[0\]"):
        read_experiments(text.replace("key:", "colour: red\n  key:"))
    with pytest.raises(UserError, match="two experiments have the key"):
        read_experiments(write_experiments(ExperimentFile(experiments=file.experiments * 2)))


def test_the_page_for_users_is_true() -> None:
    """The declaration that the page shows can be declared."""
    page = (Path(__file__).resolve().parents[3] / "docs" / "experiments.md").read_text()
    (plan,) = read_experiments(page.split("```yaml\n")[1].split("```")[0]).experiments
    assert (plan.key, plan.baseline, plan.primary.name) == ("new-ranking", "control", "clicks")
