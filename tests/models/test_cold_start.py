"""Whoever training never saw gets a sensible score, and an evaluation tells how sensible."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tests.cli.small_world import orita_inside
from tests.models.clicks import MODEL, SCHEMA, TRAINING, clicks

from orita.core.errors import NotFound
from orita.core.progress import SILENT
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.features.training_sets.training_set import TrainingSet
from orita.models.build import build_ranker
from orita.models.evaluation import Evaluation, evaluate, write_evaluation_report
from orita.models.examples import Examples
from orita.models.item_prior import ItemPrior
from orita.models.metadata import ModelMetadata
from orita.models.package import load_package, write_package
from orita.models.popularity import Popularity
from orita.models.ranker import FitContext, Ranker
from orita.pipelines import comparison
from orita.pipelines.etl import etl_graph
from orita.pipelines.graph import run_graph
from orita.pipelines.training import training_graph
from orita.project import open_project
from orita.testing.rankers import check_ranker

TYPES = ["two_tower", "deep_mlp", "dcn_v2", "linear", "lightgbm"]
NOBODY = 10**9


@cache
def fitted(type_: str) -> tuple[Ranker, Examples, Examples]:
    """Return a ranker, the rows it learned from, and later rows of which a third have unknown users or items."""
    train = clicks(5000, seed=1)
    train = train.take(np.flatnonzero((train.users_N >= 17) & (train.items_N >= 24)))
    ranker = build_ranker(type_, MODEL, TRAINING.model_copy(update={"epochs": 5, "learning_rate": 0.005}))
    ranker.fit(train, clicks(800, seed=2), FitContext(SILENT))
    return ranker, train, clicks(3000, seed=3)


def strangers(rows: Examples) -> Examples:
    """Return the rows as if nobody had met their users and items."""
    return replace(rows, users_N=np.full_like(rows.users_N, NOBODY), items_N=np.full_like(rows.items_N, NOBODY))


def with_value(rows: Examples, name: str, value: float) -> Examples:
    """Return the rows with one feature set."""
    x_NF = rows.x_NF.copy()
    x_NF[:, SCHEMA.index(name)] = value
    return replace(rows, x_NF=x_NF)


def cold_slices(found: Evaluation) -> dict[str, int]:
    """Return the sizes of the slices of cold start."""
    return {part.value: part.rows for part in found.slices if part.name == "cold start"}


@pytest.mark.parametrize("text", [False, True], ids=["number ids", "text ids"])
def test_slices_of_cold_start_hold_every_row_once(text: bool) -> None:
    """Each row is in the one slice that says what the training rows held of its user and its item."""
    rows, train = clicks(600, text=text), clicks(300, seed=1, text=text)
    train = train.take(
        np.flatnonzero((train.users_N > np.sort(train.users_N)[60]) & (train.items_N != rows.items_N[0]))
    )
    sizes = cold_slices(evaluate(np.full(600, 0.5, np.float32), rows, slices=[], train=train))
    expected = dict.fromkeys(("warm", "few rows", "cold user", "cold item", "both cold"), 0)
    for user, item in zip(rows.users_N.tolist(), rows.items_N.tolist(), strict=True):
        users, items = train.users_N.tolist().count(user), train.items_N.tolist().count(item)
        match users == 0, items == 0, min(users, items) <= 5:
            case True, True, _:
                expected["both cold"] += 1
            case True, False, _:
                expected["cold user"] += 1
            case False, True, _:
                expected["cold item"] += 1
            case _, _, few:
                expected["few rows" if few else "warm"] += 1
    assert sizes == expected
    assert all(expected.values())
    nothing = evaluate(np.full(600, 0.5, np.float32), rows, slices=[], train=train.take(slice(0, 0)))
    assert cold_slices(nothing)["both cold"] == 600


def test_a_slice_of_newcomers_has_an_interval_or_too_few_rows(tmp_path: Path) -> None:
    """AUC and log loss have intervals around them where rows suffice; JSON and the page show both, and the rows."""
    ranker, train, rows = fitted("linear")
    scores_N = ranker.score(rows)
    found = evaluate(scores_N, rows, slices=[], train=train, resamples=60)
    parts = {part.value: part for part in found.slices if part.name == "cold start"}
    for name in ("warm", "cold user", "cold item"):
        assert set(parts[name].intervals) == {"auc", "log_loss"}
        for metric, (low, high) in parts[name].intervals.items():
            value = parts[name].metrics[metric]
            assert value is not None
            assert low < value < high
    assert all(not part.intervals for part in found.slices if part.name != "cold start")
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))["slices"][-1]
    assert (told["name"], told["value"]) == ("cold start", "both cold")
    few = evaluate(scores_N[:30], rows.take(slice(0, 30)), slices=[], train=train, resamples=60)
    assert not any(part.intervals for part in few.slices if part.rows < 10)
    pytest.importorskip("jinja2", reason="Jinja2 is not installed")
    pytest.importorskip("matplotlib", reason="Matplotlib is not installed")
    write_evaluation_report(tmp_path / "page.html", found, rows, scores_N, title="t")
    page = (tmp_path / "page.html").read_text()
    low, high = parts["cold user"].intervals["auc"]
    for shown in ("Cold start", f"{low:.4f} – {high:.4f}", f"{parts['cold user'].rows:,}"):
        assert shown in page


@pytest.mark.parametrize("type_", TYPES)
def test_a_stranger_gets_a_plausible_score_of_attributes_and_context(type_: str) -> None:
    """Unknown ids score within the range of known ones, near the click rate, and by what is known of them."""
    ranker, train, rows = fitted(type_)
    known_N, new_N = ranker.score(train), ranker.score(strangers(rows))
    assert known_N.min() - 0.1 <= new_N.min()
    assert new_N.max() <= known_N.max() + 0.1
    assert abs(float(new_N.mean()) - float(rows.y_N.mean())) < 0.08
    assert new_N.std() > 0.5 * known_N.std()
    for name, values in (("topic", (0, 3)), ("device", (0, 1)), ("item_ctr", (0.1, 0.9))):
        one, other = (ranker.score(with_value(strangers(rows), name, value)) for value in values)
        assert np.abs(one - other).mean() > 0.005, name


@pytest.mark.parametrize("type_", TYPES)
def test_a_stranger_is_ranked_as_the_world_is(type_: str) -> None:
    """The world clicks more on device 1 and on items of a higher rate; scores of unknown ids rise with both."""
    ranker, _, rows = fitted(type_)
    new = strangers(rows)
    by_device = [float(ranker.score(with_value(new, "device", value)).mean()) for value in (0, 1, 2)]
    assert by_device[1] > max(by_device[0], by_device[2]) + 0.01
    by_rate = [float(ranker.score(with_value(new, "item_ctr", value)).mean()) for value in (0.1, 0.3, 0.5, 0.7, 0.9)]
    assert by_rate == sorted(by_rate)
    assert by_rate[-1] > by_rate[0] + 0.2


@pytest.mark.parametrize("type_", TYPES)
def test_what_serves_strangers_is_what_was_measured(type_: str, tmp_path: Path) -> None:
    """The package, asked as a server asks it, gives the slice of cold users the figures of the offline evaluation."""
    ranker, train, rows = fitted(type_)
    rows = rows.take(np.flatnonzero(~np.isin(rows.users_N, train.users_N)))
    offline = evaluate(ranker.score(rows), rows, metrics=["auc", "log_loss"], slices=[], train=train)
    card = ModelMetadata("00000000-0000-7000-8000-000000000000", "v0.0.1", "1970-01-01T00:00:00Z", "", type_)
    package = load_package(write_package(tmp_path / "package", ranker, card, SCHEMA, rows).folder)
    served_N: npt.NDArray[np.float32] = np.concatenate(
        [
            package.score_user(int(rows.users_N[place]), rows.items_N[place : place + 1], rows.x_NF[place : place + 1])
            for place in range(len(rows))
        ]
    )
    online = evaluate(served_N, rows, metrics=["auc", "log_loss"], slices=[], train=train)
    pairs = [(a, b) for a, b in zip(offline.slices, online.slices, strict=True) if a.name == "cold start" and a.rows]
    assert {a.value for a, _ in pairs} == {"cold user", "both cold"}
    for a, b in pairs:
        assert a.rows == b.rows
        assert b.metrics == pytest.approx(a.metrics, abs=1e-5)


def test_popularity_expects_of_a_new_item_what_its_kind_does() -> None:
    """An item without history gets the rate of its topic, one without a topic the rate of all, one with its own."""
    rows = clicks(4000)
    ranker = Popularity(MODEL)
    report = ranker.fit(rows, rows, FitContext(SILENT))
    assert report.params["expected_by"] == "topic"
    new = with_value(with_value(rows.take(slice(0, 5)), "item_ctr", np.nan), "item_popularity", 0)
    for topic in (0.0, 1.0, 2.0, 3.0, 4.0):
        of_topic = rows.x_NF[:, SCHEMA.index("topic")] == topic
        smoothing = MODEL.popularity.smoothing
        expected = (rows.y_N[of_topic].sum() + rows.y_N.mean() * smoothing) / (of_topic.sum() + smoothing)
        assert ranker.score(with_value(new, "topic", topic)) == pytest.approx(expected, abs=1e-6)
    nameless = ItemPrior.fit(rows, 20).of(with_value(new, "topic", 99).x_NF)
    assert nameless == pytest.approx(rows.y_N.mean(), abs=0.05)
    seen = with_value(with_value(new, "item_ctr", 0.9), "item_popularity", 10_000)
    assert ranker.score(seen) == pytest.approx(0.9, abs=0.01)


def test_an_attribute_that_tells_nothing_is_not_expected_by() -> None:
    """Of a thousand values drawn by chance some look good; they do not pay for themselves, and none is used."""
    rows, random = clicks(3000), np.random.default_rng(0)
    noise = replace(
        rows,
        schema=FeatureSchema((FeatureColumn("maker", "item", "category", 1000, "int16"),)),
        x_NF=random.integers(0, 1000, (3000, 1)).astype(np.float32),
    )
    prior = ItemPrior.fit(noise, 1.0)
    assert prior.column is None
    assert prior.of(noise.x_NF[:2]).tolist() == [np.float32(rows.y_N.mean(dtype=np.float64))] * 2


def test_counted_items_with_an_attribute_keep_the_contract(tmp_path: Path) -> None:
    """Where no feature tells an item's counts, the graph reads items and the attribute of those it does not know."""
    rows, topic = clicks(1500), SCHEMA.index("topic")
    bare = replace(rows, schema=FeatureSchema((SCHEMA.columns[topic],)), x_NF=rows.x_NF[:, [topic]])
    check_ranker(lambda: Popularity(MODEL), bare.take(slice(0, 1000)), bare.take(slice(1000, None)), tmp_path)
    ranker = Popularity(MODEL)
    ranker.fit(bare, bare, FitContext(SILENT))
    assert len(np.unique(ranker.score(strangers(bare)))) == 6  # five topics, and no topic


@pytest.mark.timeout(400)
def test_a_registered_model_is_judged_by_who_was_new_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`orita evaluate` shows slices by the rows that the model learned from; where those are gone it shows none."""
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    sizes = ("num_interactions=2500", "num_users=50", "num_items=100")
    overrides = [*(f"data_generation.{size}" for size in sizes), "model.type=popularity", "beside=[]"]
    project = open_project(tmp_path, home=tmp_path / ".orita", system="feed", overrides=overrides)
    for graph in (etl_graph(project.workspace()), training_graph()):
        run_graph(graph, project.workspace())
    found = comparison.evaluate_version(project.workspace(), "challenger", "test")
    parts = {part["value"]: part for part in found["slices"] if part["name"] == "cold start"}
    assert sum(part["rows"] for part in parts.values()) == found["rows"]
    assert parts["warm"]["rows"] > 50 and parts["cold item"]["rows"] > 5
    shown = orita_inside(tmp_path, "evaluate", "challenger")
    warm = next(line for line in shown.splitlines() if line.startswith("warm"))
    assert f"{parts['warm']['metrics']['auc']:.4f}" in warm
    monkeypatch.setattr(comparison, "open_training_set", _gone)
    found = comparison.evaluate_version(project.workspace(), "challenger", "test")
    assert found["slices"] == []
    assert "Cold start" not in orita_inside(tmp_path, "evaluate", "challenger")


def _gone(*_: object) -> TrainingSet:
    raise NotFound("it was let go")
