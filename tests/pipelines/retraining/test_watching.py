"""A promoted version is held against the one before it, and taken back where it surely lost."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from tests.features.small_system import NOW
from tests.pipelines.retraining.made_retraining import WHO, decided, deployed, surroundings
from tests.pipelines.retraining.test_loop import Deploying

from orita.control.deployments import Deployments
from orita.core.clock import ManualClock
from orita.monitoring.alerting.book import AlertBook
from orita.monitoring.config import PerformanceConfig
from orita.monitoring.quality import VersionQuality, version_quality
from orita.pipelines.retraining import watching
from orita.pipelines.retraining.config import RetrainingSection
from orita.pipelines.retraining.watching import record_of, watch_promoted
from orita.pipelines.workspace import Workspace
from orita.stats.intervals import Interval

BEFORE, NEW = "v1.1.0", "v1.2.0"


def promoted(folder: Path, monkeypatch: pytest.MonkeyPatch, noise: dict[str, float], **watch: Any) -> Workspace:
    """Return surroundings, an hour after v1.2.0 was promoted; versions rank by the truth and so much noise."""
    workspace = surroundings(folder, watch={"hours": 48, **watch})
    deployments = deployed(workspace, BEFORE)
    decision = decided(workspace, version=NEW)
    deployments.deploy("small", NEW, actor="ada", reason="better")
    record_of(workspace).end("small", decision.id, "promoted", "better", watch=timedelta(hours=48), **WHO)
    monkeypatch.setattr(Workspace, "catalogue", lambda _: Deploying(deployments, "small"))

    def quality(
        workspace: Workspace, version: str, start: datetime, until: datetime, level: float
    ) -> VersionQuality | None:
        assert start < until <= NOW + timedelta(days=9)
        if version not in noise:
            return None
        rng = np.random.default_rng(len(version) + int(noise[version] * 100))
        truth_J = rng.random(4000)
        clicks_J = (rng.random(4000) < truth_J).astype(float)
        scores_J = np.clip(truth_J + noise[version] * rng.standard_normal(4000), 0, 1)
        config = PerformanceConfig(false_alarm_rate=level)
        return version_quality(version, clicks_J, scores_J, rng.integers(0, 400, 4000), config, test_auc=None)

    monkeypatch.setattr(watching, "_quality", quality)
    return later(workspace, 1)


def later(workspace: Workspace, hours: float) -> Workspace:
    """Return the same surroundings so much later."""
    return replace(workspace, clock=ManualClock(workspace.clock.now() + timedelta(hours=hours)))


def serving(workspace: Workspace) -> str:
    """Return what serves."""
    deployed_now = Deployments(workspace.home.control).current("small")
    assert deployed_now is not None
    return deployed_now.version


def test_what_surely_lost_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one before serves again, with the figures in words and in the record; an alert fires; once."""
    workspace = promoted(tmp_path, monkeypatch, {BEFORE: 0.0, NEW: 1.0})
    found = watch_promoted(workspace)
    assert found is not None and (found["outcome"], serving(workspace)) == ("rolled_back", BEFORE)
    assert found["why"].startswith("AUC online -0.") and "v1.1.0 serves again" in found["why"]
    assert found["evidence"]["differences"]["auc"][2] < -0.02
    with closing(AlertBook(workspace.monitoring.alerting.book(workspace.home.reports))) as book:
        assert [(each.name, each.firing) for each in book.alerts()] == [("MODEL_ROLLED_BACK", True)]
    assert watch_promoted(later(workspace, 1)) is None
    history = Deployments(workspace.home.control).history("small")
    assert [each.version for each in history] == [BEFORE, NEW, BEFORE]
    assert record_of(workspace).state("small").failures == 1


def test_what_did_not_lose_is_confirmed_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then every look is recorded, and each is surer than the one before, as there may be many."""
    workspace = promoted(tmp_path, monkeypatch, {BEFORE: 0.3, NEW: 0.3})
    levels = []
    for _ in range(3):
        found = watch_promoted(workspace)
        assert found is not None and found["outcome"] == "promoted"
        levels.append(found["evidence"]["level"])
    assert levels == pytest.approx([0.01 / 2, 0.01 / 6, 0.01 / 12])
    found = watch_promoted(later(workspace, 48))
    assert found is not None and found["outcome"] == "confirmed"
    assert serving(workspace) == NEW
    events = [event.type for event in record_of(workspace).history("small")]
    assert events == ["decided", "trained", "ended", "watched", "watched", "watched", "ended"]


def test_a_loss_within_the_limit_is_no_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What surely lost a little stays where that much may be lost."""
    workspace = promoted(tmp_path, monkeypatch, {BEFORE: 0.0, NEW: 0.4}, most_loss=0.3, figures=("auc", "ctr"))
    found = watch_promoted(workspace)
    assert found is not None and found["outcome"] == "promoted"
    assert found["evidence"]["differences"]["auc"][2] < 0
    assert "click rate online" in found["why"]


@pytest.mark.parametrize("known", [BEFORE, NEW])
def test_without_answers_nobody_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: str) -> None:
    """And the sentence says of whom they are lacking."""
    workspace = promoted(tmp_path, monkeypatch, {known: 0.0})
    found = watch_promoted(workspace)
    lacking = {BEFORE: NEW, NEW: BEFORE}[known]
    assert found is not None and found["why"] == f"not enough answers to {lacking} yet"


def test_a_kill_after_the_rollback_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next look finds what serves, and takes nothing back again."""
    workspace = promoted(tmp_path, monkeypatch, {BEFORE: 0.0, NEW: 1.0})
    Deployments(workspace.home.control).rollback("small", actor="orita", reason="worse than v1.1.0")
    found = watch_promoted(workspace)
    assert found is not None and found["outcome"] == "rolled_back" and "worse than v1.1.0" in found["why"]
    assert len(Deployments(workspace.home.control).history("small")) == 3


def test_another_version_ends_the_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person promotes afterwards is theirs."""
    workspace = promoted(tmp_path, monkeypatch, {BEFORE: 0.0, NEW: 1.0})
    deployed(workspace, "v1.3.0")
    found = watch_promoted(workspace)
    assert found is not None and (found["outcome"], serving(workspace)) == ("superseded", "v1.3.0")


def test_the_difference_holds_the_truth_as_often_as_it_says() -> None:
    """Of two samples with 95 % intervals the interval of their difference covers about 95 %."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(2000):
        a, b = rng.normal(0.7, 0.02), rng.normal(0.6, 0.01)
        found = watching._difference(
            Interval(a, a - 1.96 * 0.02, a + 1.96 * 0.02), Interval(b, b - 1.96 * 0.01, b + 1.96 * 0.01)
        )
        held += found.low <= 0.1 <= found.high
    assert 0.93 < held / 2000 < 0.97


@pytest.mark.parametrize(
    "wrong",
    [
        {"watch": {"figures": ["acc"]}},
        {"watch": {"figures": ["auc", "auc"]}},
        {"watch": {"hours": 0}},
        {"rollout": {"strategy": "shadow"}},
        {"rollout": {"versions": ["v1.0.0"]}},
        {"rollout": {"steps": [{"share": 5}]}},
        {"budget": {"cost": 5}},
        {"stop_after_failures": 0},
    ],
)
def test_what_cannot_be_declared_is_refused(wrong: dict[str, Any]) -> None:
    """Each with the field and what is allowed."""
    with pytest.raises(ValidationError):
        RetrainingSection.model_validate(wrong)
