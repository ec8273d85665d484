"""From a model back to the files its rows came from, and on to what it answered and what came of that."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.features.small_system import DECLARED, NOW, declared_system
from tests.registry.small_registry import answered, fed_back, registered, trained_home

from orita.control.deployments import Deployment, Deployments
from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.core.progress import Bar
from orita.events.lake import Lake
from orita.events.prediction_files import convert_segment, segment_folder
from orita.events.predictions import prediction_log
from orita.monitoring.alerting.book import AlertBook
from orita.monitoring.alerting.states import Signal
from orita.monitoring.alerts import Alert
from orita.pipelines.graph import Graph, Task, run_graph
from orita.pipelines.model_lineage import lineage_of_prediction, lineage_of_version, models_trained_from
from orita.pipelines.workspace import Workspace
from orita.registry.catalogue import ModelVersion
from orita.registry.lineage import origin_of, trained_from
from orita.registry.uses import answers_of, feedback_of, find_prediction, periods_of

REQUESTS = [f"r{n}" for n in range(6)]


@dataclass(frozen=True)
class _Story:
    """A home with two models, of which the first was champion, was asked, and was answered."""

    workspace: Workspace
    first: ModelVersion
    second: ModelVersion


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> _Story:
    """Train, promote, answer on two days (one of them not Parquet yet), ingest feedback, train and promote again."""
    folder = tmp_path_factory.mktemp("story")
    workspace = trained_home(folder)
    catalogue, home = workspace.catalogue(), workspace.home
    first = registered(workspace)
    catalogue.promote("small", first.version, actor="ada", reason="the first")
    answered(home, first.version, NOW - timedelta(days=1), REQUESTS[:4])
    (segment,) = segment_folder(home).glob("*.wal")
    convert_segment(home, segment)
    answered(home, first.version, NOW, REQUESTS[4:])
    fed_back(workspace, folder, REQUESTS[2:5])
    second = registered(workspace, **{"orita.parent": first.version})
    catalogue.promote("small", second.version, actor="bo", reason="the second")
    answered(home, second.version, NOW, ["other"])
    return _Story(workspace, catalogue.get("small", first.version), catalogue.get("small", second.version))


def test_backwards_to_the_files(story: _Story) -> None:
    """Run, code, training set with its parts, tables with version, rows and source file, and every feature's words."""
    origin = origin_of(story.workspace.catalogue(), story.workspace.system, story.first)
    assert (origin.run["id"], origin.run["params"]) == (story.first.run_id, {"type": "popularity"})
    assert origin.code["orita"] == "0.1.0"
    assert origin.training_set["id"] == story.first.tags["orita.training_set"]
    assert sum(part["rows"] for part in origin.training_set["parts"].values()) == 400
    (table,) = origin.tables
    assert (table.name, table.version, table.rows, table.readable) == ("interactions", 0, 400, True)
    assert dict(table.sources) == {"interactions.jsonl": 400}
    assert dict(table.origin) == {"system": "small"}
    found = {feature.column: feature for feature in origin.features}
    assert found["user_clicks"].owner == "growth"
    assert found["user_clicks"].tables == ("interactions",)
    assert (found["device_mobile"].feature, found["device_mobile"].version) == ("device", 1)
    assert all(feature.current and feature.declared for feature in origin.features)


def test_a_declaration_of_then_is_told_from_that_of_now(story: _Story) -> None:
    """What is declared otherwise now is told as it was, and that it is not so any more."""
    now = declared_system(DECLARED.replace('shown.ratio("click").by(item)', 'shown.ratio("click").by(user)'))
    origin = origin_of(story.workspace.catalogue(), now, story.first)
    found = {feature.column: feature for feature in origin.features}
    assert (found["item_ctr"].current, found["item_ctr"].version) == (False, 1)
    assert "by item" in found["item_ctr"].declared
    assert found["user_clicks"].current


def test_forwards_to_the_feedback(story: _Story) -> None:
    """Predictions by day from Parquet and from what is still written, the time as champion, clicks that came back."""
    told = lineage_of_version(story.workspace, "v1.1.0")["to"]
    assert (told["predictions"]["rows"], told["predictions"]["requests"]) == (18, 6)
    assert [day["requests"] for _, day in sorted(told["predictions"]["days"].items())] == [4, 2]
    assert told["predictions"]["first"] == (NOW - timedelta(days=1)).isoformat()
    assert told["predictions"]["last"] == (NOW + timedelta(seconds=1)).isoformat()
    assert (told["feedback"]["rows"], told["feedback"]["positives"]) == (3, 3)  # item 999 was never shown
    (period,) = told["deployments"]
    assert (period["actor"], period["reason"], bool(period["end"])) == ("ada", "the first", True)
    assert [made["version"] for made in told["made_of_it"]] == [story.second.version]
    second = lineage_of_version(story.workspace, "champion")
    assert second["to"]["feedback"]["rows"] == 0
    assert second["to"]["deployments"][0]["end"] == ""
    assert second["from"]["parent"] == "v1.1.0"


def _giving(result: dict[str, Any]) -> Callable[[Workspace, Mapping[str, Any]], dict[str, Any]]:
    return lambda *_: dict(result)


def test_what_was_said_and_decided_about_it(story: _Story) -> None:
    """Comparisons once however often they are repeated, retrainings it gave rise to, reports, alerts of its own."""
    reports = story.workspace.home.reports
    asked = {"retrain": True, "reasons": ["feature_drift: x"], "champion": "v1.1.0"}
    verdict = {"challenger": "v1.2.0", "champion": "v1.1.0", "better": True, "why": "AUC +0.1"}
    results: dict[str, dict[str, Any]] = {
        "check_trigger_conditions": asked,
        "trigger_training_dag": {"version": "v1.2.0"},
        "compare_with_production": verdict,
    }
    tasks = tuple(Task(name, _giving(result)) for name, result in results.items())
    for _ in range(2):
        run_graph(Graph("automated_retraining", None, tasks), story.workspace)
    (reports / "monitoring").mkdir(parents=True)
    for number, version in enumerate(("v1.1.0", "v1.1.0", "v1.2.0")):
        report = {"model_version": version, "at": f"2024-11-2{number}", "alerts": [{"name": "FEATURE_DRIFT"}]}
        (reports / "monitoring" / f"monitoring-small-{number}.json").write_text(json.dumps(report))
    with closing(AlertBook(reports / "alerts.db")) as book:
        for v in ("v1.1.0", "v1.2.0"):
            alert = Alert("PERFORMANCE_DEGRADATION", f"small/{v}", "critical", "worse", None, None, "e", "r", NOW)
            book.observe([Signal(alert, True)], {}, NOW)
    told = lineage_of_version(story.workspace, "v1.1.0")
    assert [each["why"] for each in told["from"]["compared_with"]] == ["AUC +0.1"]
    assert [each["made"] for each in told["to"]["retrainings"]] == ["v1.2.0", "v1.2.0"]
    assert told["to"]["monitoring"] == {
        "reports": 2,
        "first": "2024-11-20",
        "last": "2024-11-21",
        "alerts": {"FEATURE_DRIFT": 2},
    }
    assert [(each["name"], each["firing"]) for each in told["to"]["alerts"]] == [("PERFORMANCE_DEGRADATION", True)]


def test_from_a_prediction_to_the_tables(story: _Story) -> None:
    """A request id and a prediction id lead to the model that answered, its features as used, and on to its tables."""
    told = lineage_of_prediction(story.workspace, "r1")
    assert told["prediction"]["version"] == told["model"]["version"] == "v1.1.0"
    assert [item["item_id"] for item in told["prediction"]["items"]] == ["100", "101", "102"]
    assert told["prediction"]["items"][0]["features"] == {"item_ctr": 0.25}
    assert told["from"]["tables"][0]["name"] == "interactions"
    log = prediction_log(story.workspace.home, columns=["prediction_id", "item_id", "request_id"]).to_pylist()
    for row in log[:: len(log) // 5]:
        found = find_prediction(story.workspace.home, row["prediction_id"])
        assert (found.request_id, found.rows) == (row["request_id"], 1)
        assert found.items[0]["item_id"] == row["item_id"]
    with pytest.raises(NotFound, match="'nobody'"):
        find_prediction(story.workspace.home, "nobody")
    other = declared_system(DECLARED.replace('system("small"', 'system("other"'))
    with pytest.raises(UserError, match="answered by system 'small'"):
        lineage_of_prediction(replace(story.workspace, system=other), "r1")


def test_from_a_table_or_a_training_set_to_the_models(story: _Story) -> None:
    """A version of a table, any version of it, or the first letters of a set, lead to all that were trained of it."""
    catalogue, training_set = story.workspace.catalogue(), story.first.tags["orita.training_set"]
    both = ["v1.2.0", "v1.1.0"]
    tables = ("interactions@0", "interactions@00", "interactions")
    for asked in (*({"table": name} for name in tables), {"training_set": training_set[:6]}):
        assert [entry.version for entry in trained_from(catalogue, "small", **asked)] == both
        assert models_trained_from(story.workspace, **asked)["training_sets"] == [training_set]
    assert Lake(story.workspace.home).version("interactions") == 1
    for asked in ({"table": "interactions@1"}, {"table": "users@0"}, {"training_set": "f" * 16}):
        assert models_trained_from(story.workspace, **asked) == {"training_sets": [], "models": []}
    for number in ("new", "²", ""):
        with pytest.raises(UserError, match=f"'interactions@{number}' is not NAME@VERSION"):
            trained_from(catalogue, "small", table=f"interactions@{number}")
    with pytest.raises(UserError, match="is not NAME@VERSION"):
        trained_from(catalogue, "nothing", table="interactions@new")


def test_periods_are_parted_by_what_came_between(tmp_path: Path) -> None:
    """A version that comes back has two periods; one that was promoted twice in a row has one."""
    deployments = Deployments(tmp_path / "control.db")
    for version in ("v1.1.0", "v1.1.0", "v1.2.0", "v1.1.0"):
        deployments.deploy("small", version, actor="ada", reason=version)
    history: list[Deployment] = deployments.history("small")
    periods = periods_of(history, "v1.1.0")
    assert [(bool(period.start), bool(period.end)) for period in periods] == [(True, True), (True, False)]
    assert periods[0].end == history[2].at.isoformat()
    assert periods_of(history, "v1.3.0") == []


def test_nothing_was_answered(tmp_path: Path) -> None:
    """A home without predictions and without events is told as one."""
    home = Home(tmp_path / "home")
    assert (answers_of(home, "small", "v1.1.0").rows, feedback_of(home, declared_system(), "v1.1.0").rows) == (0, 0)


class _Watched:
    """Progress that notes how much memory Arrow holds whenever a part was read."""

    def __init__(self) -> None:
        self.before, self.peak = pa.total_allocated_bytes(), 0

    @contextmanager
    def bar(self, title: str, total: float | None = None) -> Iterator[Bar]:
        """Watch one piece of work."""
        yield self

    def advance(self, by: float = 1.0) -> None:
        """Note the memory."""
        self.peak = max(self.peak, pa.total_allocated_bytes() - self.before)

    def describe(self, text: str) -> None:
        """Show nothing."""


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    """Sixteen parts of the log hold hardly more memory than two, not eight times as much: one is held at a time."""
    peaks = {}
    for parts in (2, 16):
        home = Home(tmp_path / f"home{parts}")
        for number in range(parts):
            requests = [f"{number}-{n}" for n in range(150)]
            answered(home, "v1.1.0", NOW - timedelta(days=number), requests, items=50)
            for segment in segment_folder(home).glob("*.wal"):
                convert_segment(home, segment)
        watched = _Watched()
        found = answers_of(home, "small", "v1.1.0", progress=watched)
        assert (found.rows, found.requests) == (parts * 7_500, parts * 150)
        peaks[parts] = watched.peak
    assert 0 < peaks[16] < 4 * peaks[2]  # Arrow frees a part that was read when it likes
