"""A gate before promotion asks the champion's own log, and keeps what it found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.delivery.ope.logged_home import LOGGED, OnePackage, logged_home
from tests.delivery.ope.made_pages import made_pages
from tests.features.small_system import NOW, declared_system
from tests.pipelines.test_retraining import Registry

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.models.evaluation import Comparison
from orita.pipelines import comparison, ope_gate, promotion
from orita.pipelines.comparison import Duel
from orita.pipelines.components.blessing_config import BlessingSection
from orita.pipelines.workspace import Workspace

WORLD = made_pages(500, share=0.4, differs=0.5, users=400, seed=7)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with 500 explored pages of v1.0.0."""
    return logged_home(tmp_path_factory.mktemp("gate"), WORLD)


def compared(
    home: Home, monkeypatch: pytest.MonkeyPatch, scored_by: str, **gate: Any
) -> tuple[dict[str, Any], Registry]:
    """Return the verdict on a challenger that was better on test rows, and scores by a logged feature."""
    registry = Registry(LOGGED)
    monkeypatch.setattr(Workspace, "catalogue", lambda _: registry)
    packages = iter([OnePackage("v1.1.0", scored_by), OnePackage(LOGGED, "next", "now")])
    monkeypatch.setattr(ope_gate, "load_package", lambda _: next(packages))
    found = Comparison(0.71, 0.70, 0.01, 0.001, 0.02, True, 100, 60, 0.95)
    monkeypatch.setattr(comparison, "compare_versions", lambda *_: Duel("v1.1.0", LOGGED, 100, found))
    workspace = Workspace(home=home, system=declared_system(), clock=ManualClock(NOW))
    blessing = BlessingSection.model_validate({"gates": {"ope": gate}})
    gated = replace(workspace, model=workspace.model.model_copy(update={"blessing": blessing}))
    results: dict[str, Any] = {"fetch_recent_data": {}, "trigger_training_dag": {"version": "v1.1.0"}}
    results["compare_with_production"] = promotion.compare_with_production(gated, results)
    told = promotion.promote_if_better(gated, results)
    assert told["promoted"] is results["compare_with_production"]["better"]
    assert told["ope"] == results["compare_with_production"]["ope"]
    return results["compare_with_production"], registry


def test_a_challenger_that_loses_nothing_passes(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that orders as the champion does gains 0, which is no loss; the evidence is on disk in two forms."""
    verdict, registry = compared(home, monkeypatch, "now")
    assert verdict["better"] and registry.promoted == ["v1.1.0"]
    assert "AUC +0.0100" in verdict["why"] and "click a page +0.0000 (+0.0000 to +0.0000)" in verdict["why"]
    evidence = Path(verdict["ope"]["evidence"])
    told = json.loads(evidence.read_text())
    assert (told["logged"], told["candidate"], told["enough"]) == (LOGGED, "v1.1.0", True)
    assert "What the policy would have earned" in evidence.with_suffix(".html").read_text()


@pytest.mark.parametrize(("least", "passed"), [(0.0, False), (-0.9, True)])
def test_the_whole_interval_must_keep_the_least_gain(
    home: Home, monkeypatch: pytest.MonkeyPatch, least: float, passed: bool
) -> None:
    """A challenger that may lose is refused at 0, and let through where so much may be lost."""
    verdict, registry = compared(home, monkeypatch, "next", least_gain=least)
    assert (verdict["better"], bool(registry.promoted)) == (passed, passed)
    assert verdict["ope"]["enough"]
    assert ("must be sure" in verdict["why"]) is not passed


@pytest.mark.parametrize(("choice", "passed"), [("refuse", False), ("allow", True)])
def test_a_log_that_cannot_tell_refuses_or_allows(
    home: Home, monkeypatch: pytest.MonkeyPatch, choice: str, passed: bool
) -> None:
    """As configured, and the reason is told: here that nobody liked anything."""
    verdict, _ = compared(home, monkeypatch, "next", not_enough=choice, reward="like", confidence=0.9)
    assert verdict["better"] is passed and not verdict["ope"]["enough"]
    assert "the log cannot tell" in verdict["why"]


def test_without_a_gate_the_log_is_not_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default demands nothing."""
    assert BlessingSection().gates.ope is None
    monkeypatch.setattr(ope_gate, "ope_gate", None)
    workspace = Workspace(home=home, system=declared_system(), clock=ManualClock(NOW))
    assert promotion._gated(workspace, {"better": True, "champion": "v1.0.0"}) == {
        "better": True,
        "champion": "v1.0.0",
    }


@pytest.mark.parametrize("wrong", [{"estimator": "ips"}, {"least_gain": -2}, {"not_enough": "guess"}, {"days": 0}])
def test_what_cannot_be_demanded_is_refused(wrong: dict[str, Any]) -> None:
    """Estimators are those of slates, and values have their bounds."""
    with pytest.raises(ValidationError):
        BlessingSection.model_validate({"gates": {"ope": wrong}})
