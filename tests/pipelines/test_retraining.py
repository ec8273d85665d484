"""Only a model that is surely better is promoted, judged on rows that neither model was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orita.control.deployments import Deployments
from orita.core.clock import ManualClock, to_micros
from orita.core.errors import UserError
from orita.core.home import Home
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.evaluation import Comparison
from orita.models.examples import Examples
from orita.pipelines import comparison, promotion
from orita.pipelines.comparison import Duel, compare_versions
from orita.pipelines.components.blessing_config import BlessingSection
from orita.pipelines.graph import Graph, Task, run_graph
from orita.pipelines.retraining import graph as retraining
from orita.pipelines.workspace import Workspace
from orita.project import open_project
from orita.registry.catalogue import Catalogue

SCHEMA = FeatureSchema((FeatureColumn("item_ctr", "item"),))
NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


@dataclass
class Entry:
    """A registered model, as far as retraining looks at it."""

    version: str
    package: Path = Path("unused")
    metrics: dict[str, float] = field(default_factory=lambda: {"auc": 0.71, "log_loss": 0.5})


class Registry:
    """A registry that remembers what was promoted."""

    promoted: list[str]

    def __init__(self, champion: str | None) -> None:
        self._champion = champion
        self.promoted = []

    def champion(self, system: str) -> Entry | None:
        """Return the champion."""
        return Entry(self._champion) if self._champion else None

    def get(self, system: str, version: str) -> Entry:
        """Return a version."""
        return Entry(version)

    def promote(self, system: str, version: str, *, actor: str, reason: str) -> Entry:
        """Remember a promotion."""
        self.promoted.append(version)
        return Entry(version)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return surroundings without any state."""
    project = open_project(tmp_path, home=tmp_path)
    return project.workspace(clock=ManualClock(NOON))


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Put a registry with champion v1.1.0 in the place of the real one."""
    made = Registry("v1.1.0")
    monkeypatch.setattr(Workspace, "catalogue", lambda _: made)
    yield made


def test_what_a_person_took_back_is_not_promoted_again(
    workspace: Workspace, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same challenger, surely better offline, does not come back by itself after a rollback; a newer one may."""
    found = Comparison(0.71, 0.70, 0.01, 0.001, 0.02, True, 100, 60, 0.95)
    monkeypatch.setattr(comparison, "compare_versions", lambda *_: Duel("v1.2.0", "v1.1.0", 100, found))
    deployments = Deployments(workspace.home.control_db, workspace.home.tenant, workspace.clock)
    for version in ("v1.1.0", "v1.2.0"):
        deployments.deploy("feed", version, actor="orita", reason="better")
    deployments.rollback("feed", actor="ada", reason="worse live")
    for version, promoted in (("v1.2.0", False), ("v1.3.0", True)):
        results: dict[str, Any] = {"fetch_recent_data": {}, "trigger_training_dag": {"version": version}}
        results["compare_with_production"] = promotion.compare_with_production(workspace, results)
        told = promotion.promote_if_better(workspace, results)
        assert told["promoted"] is promoted
        assert ("taken back by a rollback" in told["why"]) is not promoted
    assert registry.promoted == ["v1.3.0"]


@pytest.mark.parametrize(("low", "promoted"), [(0.001, True), (0.0, False), (-0.002, False)])
def test_the_whole_interval_must_lie_above_zero(
    workspace: Workspace, registry: Registry, monkeypatch: pytest.MonkeyPatch, low: float, promoted: bool
) -> None:
    """A challenger whose interval touches zero stays a challenger, however good its point estimate."""
    found = Comparison(0.71, 0.70, 0.01, low, 0.02, low > 0, 100, 60, 0.95)
    monkeypatch.setattr(comparison, "compare_versions", lambda *_: Duel("v1.2.0", "v1.1.0", 100, found))
    results: dict[str, Any] = {"fetch_recent_data": {}, "trigger_training_dag": {"version": "v1.2.0"}}
    results["compare_with_production"] = promotion.compare_with_production(workspace, results)
    told = promotion.promote_if_better(workspace, results)
    assert told["promoted"] is promoted
    assert registry.promoted == (["v1.2.0"] if promoted else [])


@pytest.mark.parametrize(("users", "low"), [(1, None), (9, 0.001)])
def test_a_few_users_promote_nothing(
    workspace: Workspace, registry: Registry, monkeypatch: pytest.MonkeyPatch, users: int, low: float | None
) -> None:
    """On rows of fewer than ten users the champion stays, and the verdict says how many are needed."""
    found = Comparison(0.71, 0.70, 0.01, low, low and 0.02, False, 100, users, 0.95)
    monkeypatch.setattr(comparison, "compare_versions", lambda *_: Duel("v1.2.0", "v1.1.0", 100, found))
    results: dict[str, Any] = {"fetch_recent_data": {}, "trigger_training_dag": {"version": "v1.2.0"}}
    results["compare_with_production"] = promotion.compare_with_production(workspace, results)
    told = promotion.promote_if_better(workspace, results)
    assert (told["promoted"], registry.promoted) == (False, [])
    assert f"is of {'one user' if users == 1 else '9 users'} only, and 10 are needed to be sure" in told["why"]


def test_nothing_is_promoted_over_itself(workspace: Workspace, registry: Registry) -> None:
    """A training that yields the model that serves already changes nothing."""
    results: dict[str, Any] = {"fetch_recent_data": {}, "trigger_training_dag": {"version": "v1.1.0"}}
    results["compare_with_production"] = promotion.compare_with_production(workspace, results)
    assert not promotion.promote_if_better(workspace, results)["promoted"]
    assert registry.promoted == []


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"at_least": {"auc": 0.8}}, "auc is 0.7100, at least 0.8 is asked for"),
        ({"at_most": {"log_loss": 0.4}}, "log_loss is 0.5000, at most 0.4 is allowed"),
        ({"at_least": {"map": 0.1}}, "map was not taken"),
    ],
)
def test_a_model_below_the_limits_is_not_blessed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, limits: dict[str, Any], why: str
) -> None:
    """Also where nothing serves yet, a figure that misses its limit keeps a model from being promoted."""
    registry = Registry(None)
    monkeypatch.setattr(Workspace, "catalogue", lambda _: registry)
    limited = replace(workspace, model=workspace.model.model_copy(update={"blessing": BlessingSection(**limits)}))
    results: dict[str, Any] = {"fetch_recent_data": {}, "trigger_training_dag": {"version": "v1.2.0"}}
    results["compare_with_production"] = promotion.compare_with_production(limited, results)
    assert why in results["compare_with_production"]["why"]
    assert not promotion.promote_if_better(limited, results)["promoted"]
    assert registry.promoted == []


def test_a_verdict_is_remembered(workspace: Workspace, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same two models on the same rows meet once; another way of judging lets them meet again."""
    met: list[str] = []

    def duel(*_: object) -> Duel:
        met.append("")
        return Duel("v1.2.0", "v1.1.0", 100, Comparison(0.71, 0.70, 0.01, -0.01, 0.02, False, 100, 60, 0.95))

    monkeypatch.setattr(comparison, "compare_versions", duel)
    results: dict[str, Any] = {"fetch_recent_data": {}, "trigger_training_dag": {"version": "v1.2.0"}}
    told = [promotion.compare_with_production(workspace, results) for _ in range(2)]
    assert [each["steps"][0]["status"] for each in told] == ["success", "cached"]
    assert len(met) == 1
    assert promotion.promote_if_better(workspace, {**results, "compare_with_production": told[1]})["cached"]
    section = workspace.model.evaluation.model_copy(update={"resamples": 500})
    other = replace(workspace, model=workspace.model.model_copy(update={"evaluation": section}))
    assert promotion.compare_with_production(other, results)["steps"][0]["status"] == "success"
    assert len(met) == 2


@dataclass
class Card:
    """The part of a model's card that says what it was trained on."""

    training_data_date_range: dict[str, str]


@dataclass
class Scorer:
    """A package that scores by a column and remembers how many rows it was given."""

    metadata: Card
    sign: float
    extra: dict[str, str]
    schema: FeatureSchema = SCHEMA
    asked: int = 0
    label_objective: None = None

    def score(self, users_N: Any, items_N: Any, x_NF: Any, objective: None = None) -> Any:
        """Return scores."""
        self.asked = len(x_NF)
        return 0.5 + self.sign * 0.4 * (x_NF[:, 0] - 0.5)


def rows_from(start: datetime) -> Examples:
    """Return 400 rows, a second apart, whose label follows the feature."""
    rng = np.random.default_rng(0)
    x_N = rng.random(400).astype(np.float32)
    time_N = to_micros(start) + np.arange(400) * 1_000_000
    users_N = rng.integers(0, 40, 400)
    y_N = (rng.random(400) < x_N).astype(np.float32)
    return Examples(SCHEMA, users_N, users_N, x_N[:, None], y_N, time_N)


def duel(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, *ends: datetime) -> tuple[Duel, list[Scorer]]:
    """Compare a good with a bad scorer that were trained up to *ends*, on rows from noon."""
    scorers = [
        Scorer(
            Card({"start": "2024-01-01T00:00:00Z", "end": "2024-02-01T00:00:00Z"}),
            sign,
            {"selected_to": end.isoformat()},
        )
        for end, sign in zip(ends, (1.0, -1.0), strict=True)
    ]
    queue = iter(scorers)
    monkeypatch.setattr(comparison, "load_package", lambda _: next(queue))
    monkeypatch.setattr(comparison, "latest_training_set", lambda *_: None)
    monkeypatch.setattr(comparison, "judged_rows", lambda *_: rows_from(NOON))
    good, bad = Entry("v1.2.0"), Entry("v1.1.0")
    return compare_versions(workspace, good, bad), scorers  # type: ignore[arg-type]


def test_rows_that_either_model_has_seen_do_not_judge(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only rows later than the training and validation rows of both models count; both score the same ones."""
    later = NOON.replace(minute=1)
    found, scorers = duel(workspace, monkeypatch, NOON.replace(hour=11), later)
    assert [scorer.asked for scorer in scorers] == [339, 339]
    assert found.rows == 339
    assert found.better


def test_without_fresh_rows_there_is_no_verdict(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every row was seen in training, the answer is a sentence, not a number."""
    with pytest.raises(UserError, match="newer events"):
        duel(workspace, monkeypatch, NOON, NOON.replace(hour=13))


def test_a_champion_of_other_features_is_refused_before_anything_is_trained(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retraining says at once that a changed declaration leaves nothing to compare with, and what to do instead."""
    (column,) = workspace.system.schema(["item_ctr"]).columns
    other = FeatureSchema((replace(column, meaning="0" * 12),))
    package = Scorer(Card({"start": "", "end": ""}), 1.0, {}, other)
    monkeypatch.setattr(retraining, "load_package", lambda _: package)
    monkeypatch.setattr(Catalogue, "champion", lambda *_: Entry("v1.1.0"))
    told = r"champion v1\.1\.0 was trained on another declaration of feature 'item_ctr'.*orita models promote"
    with pytest.raises(UserError, match=told):
        retraining.check_trigger_conditions(workspace, {}, force=True)


def test_without_a_trigger_nothing_is_done(tmp_path: Path) -> None:
    """Every later task of the retraining graph passes on why nothing was done."""
    workspace = Workspace(Home(tmp_path), open_project(tmp_path, home=tmp_path).system)
    results: dict[str, Any] = {"check_trigger_conditions": {"retrain": False, "reasons": []}}
    for task in retraining.retraining_graph().tasks[1:]:
        results[task.name] = task.body(workspace, results)
        assert results[task.name] == {"skipped": "no trigger asks for a new model"}


def test_two_runs_do_not_share_their_work(workspace: Workspace) -> None:
    """While one ETL is at work, a second in the same home and system is refused with a sentence."""
    graph = Graph("etl", None, (Task("a", lambda w, r: {}),), alone=True)
    with workspace.alone("etl"), pytest.raises(UserError, match="another run of etl"):
        run_graph(graph, workspace)
    assert run_graph(graph, workspace).results == {"a": {}}
