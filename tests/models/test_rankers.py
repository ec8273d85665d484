"""Every ranker keeps the contract, and the check of the contract catches those that do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.models.clicks import MODEL, SCHEMA, TRAINING, clicks

from orita.core.errors import UserError
from orita.core.progress import SILENT
from orita.models.build import RANKERS, build_ranker
from orita.models.compose import Composer
from orita.models.examples import Examples
from orita.models.popularity import Popularity
from orita.models.ranker import FitContext, FitReport, Ranker
from orita.stats.metrics import auc
from orita.testing.rankers import check_ranker


@pytest.mark.parametrize("text", [False, True], ids=["number ids", "text ids"])
@pytest.mark.parametrize("type_", sorted(RANKERS))
def test_every_ranker_keeps_the_contract(type_: str, text: bool, tmp_path: Path) -> None:
    """Scores, seeds, unknown ids, missing features and the exported graph are as `check_ranker` demands."""
    rows = clicks(1100, text=text)
    train, val = rows.take(slice(0, 800)), rows.take(slice(800, None))
    check_ranker(lambda: build_ranker(type_, MODEL, TRAINING), train, val, tmp_path)


@pytest.mark.parametrize("type_", ["two_tower", "deep_mlp", "dcn_v2", "linear", "lightgbm"])
def test_a_model_learns_more_than_popularity(type_: str) -> None:
    """On a world of tastes every real model ranks new rows better than the popularity of items does."""
    train, val, test = clicks(6000, seed=1), clicks(1500, seed=2), clicks(3000, seed=3)
    longer = TRAINING.model_copy(update={"epochs": 8, "learning_rate": 0.005})
    aucs = {}
    for name in (type_, "popularity"):
        ranker = build_ranker(name, MODEL, longer)
        ranker.fit(train, val, FitContext(SILENT))
        aucs[name] = auc(test.y_N, ranker.score(test))
    assert aucs[type_] > aucs["popularity"] + 0.02, aucs


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    """A wrong `model.type` names the value, every type there is, and the nearest one."""
    with pytest.raises(UserError, match=r"'two_towers'.*lightgbm.*Did you mean 'two_tower'"):
        build_ranker("two_towers", MODEL, TRAINING)


@pytest.mark.parametrize("type_", sorted(RANKERS))
def test_a_ranker_without_rows_or_without_a_fit_says_so(type_: str, tmp_path: Path) -> None:
    """No rows to learn from, a score before a fit, an export before a fit: each is one sentence."""
    rows = clicks(50)
    ranker = build_ranker(type_, MODEL, TRAINING)
    with pytest.raises(UserError, match=f"{type_} ranker has not been fitted"):
        ranker.score(rows)
    with pytest.raises(UserError, match=f"{type_} ranker has not been fitted"):
        ranker.export(tmp_path)
    with pytest.raises(UserError, match=f"{type_} was given 0 training and 50 validation rows"):
        ranker.fit(rows.take(slice(0, 0)), rows, FitContext(SILENT))


@pytest.mark.parametrize("type_", sorted(RANKERS))
def test_rows_that_teach_nothing_are_refused_alike(type_: str) -> None:
    """Training rows of one kind and no validation rows at all: the same sentence of every type, before any fit."""
    rows, told = clicks(200), []
    ranker = build_ranker(type_, MODEL, TRAINING)
    context = FitContext(SILENT, on_epoch=lambda epoch, _: told.append(epoch))
    for y, positives in ((0.0, 0), (1.0, 60)):
        one_kind = rows.take(np.flatnonzero(rows.y_N == y)[:60])
        with pytest.raises(UserError, match=rf"{type_} was given 60 training rows, {positives} of them .*rows without"):
            ranker.fit(one_kind, rows, context)
    with pytest.raises(UserError, match=f"{type_} was given 200 training and 0 validation rows; give some of each"):
        ranker.fit(rows, rows.take(slice(0, 0)), context)
    assert told == []


@pytest.mark.parametrize("type_", ["two_tower", "deep_mlp", "dcn_v2", "linear", "lightgbm"])
def test_one_kind_of_feature_is_enough(type_: str, tmp_path: Path) -> None:
    """A schema without categories, or pairs, or context, is no special case for fit, score and export."""
    rows = clicks(600)
    small = rows.select("item_ctr", "item_popularity")
    check_ranker(
        lambda: build_ranker(type_, MODEL, TRAINING), small.take(slice(0, 400)), small.take(slice(400, None)), tmp_path
    )


class _Wrong(Popularity):
    """A ranker that breaks one promise."""

    def __init__(self, fault: str) -> None:
        super().__init__(MODEL)
        self.fault, self.fitted = fault, False

    def fit(self, train: Examples, val: Examples, context: FitContext) -> FitReport:
        if self.fault == "changes its rows":
            train.x_NF[0, 0] = 5.0
        report = super().fit(train, val, context)
        self.fitted = True
        return None if self.fault == "reports nothing" else report  # type: ignore[return-value]

    def score(self, rows: Examples) -> npt.NDArray[np.float32]:
        scores_N: Any = super().score(rows)
        match self.fault:
            case "looks at labels":
                scores_N = np.nan_to_num(scores_N * 0.5 + rows.y_N / 3)
            case "depends on neighbours":
                scores_N = scores_N / max(scores_N.max(initial=0), 1e-3)
            case "is not a probability":
                scores_N = scores_N * 3
            case "is float64":
                scores_N = scores_N.astype(np.float64)
            case "is a list":
                scores_N = scores_N.tolist()
            case "fills its rows" if self.fitted:
                np.nan_to_num(rows.x_NF, copy=False)
            case "graph differs":
                scores_N = scores_N * np.float32(0.99)
        return scores_N  # type: ignore[no-any-return]

    def export(self, folder: Path) -> None:
        super().export(folder)
        if self.fault == "writes no graph":
            (folder / "model.onnx").unlink()
        if self.fault == "graph gives a column":
            graph = Composer()
            value = graph.columns(graph.features(len(SCHEMA)), 0, 1)
            graph.write(folder / "model.onnx", value)
        if self.fault == "writes a pickle":
            (folder / "model.pkl").write_bytes(b"\x80")


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("changes its rows", "fit changed the rows"),
        ("looks at labels", "depend on labels"),
        ("depends on neighbours", "depends on the rows beside it"),
        ("is not a probability", "not in \\[0, 1\\]"),
        ("is float64", "not float32"),
        ("graph differs", "scores its own sample"),
        ("writes a pickle", "model.pkl"),
        ("reports nothing", "fit must return a FitReport, it returned a NoneType"),
        ("is a list", "scores are a list"),
        ("fills its rows", "score changed the rows"),
        ("writes no graph", "exported no 'model.onnx'"),
        ("graph gives a column", r"with the shape \(64, 1\), expected \(64,\): its graph does not give one score"),
    ],
)
def test_the_check_catches_a_broken_promise(fault: str, sentence: str, tmp_path: Path) -> None:
    """`check_ranker` fails, with a sentence about the fault, for a ranker that breaks one promise."""
    rows = clicks(600)
    make: Any = lambda: _Wrong(fault)  # noqa: E731
    checked: Ranker = make()
    assert checked.type == "popularity"
    with pytest.raises((AssertionError, UserError), match=sentence):
        check_ranker(make, rows.take(slice(0, 400)), rows.take(slice(400, None)), tmp_path)


class _Own(Popularity):
    """A ranker that has an array where a package looks for a method."""

    named_weights = np.ones(3)


def test_the_check_names_what_is_missing(tmp_path: Path) -> None:
    """A ranker that lacks a member or is made only once, and rows that cannot tell, are sentences, not tracebacks."""
    rows = clicks(400)
    train, val = rows.take(slice(0, 300)), rows.take(slice(300, None))
    bare: Any = type("Bare", (), {"type": "bare", "fit": Popularity.fit, "score": Popularity.score})
    with pytest.raises(AssertionError, match="a ranker has a method export"):
        check_ranker(bare, train, val, tmp_path)
    with pytest.raises(AssertionError, match=r"named_weights is a method .*HasWeights"):
        check_ranker(lambda: _Own(MODEL), train, val, tmp_path)
    one = Popularity(MODEL)
    with pytest.raises(AssertionError, match="a new ranker each time"):
        check_ranker(lambda: one, train, val, tmp_path)
    with pytest.raises(UserError, match=r"0 validation rows, 0 of them positive; give some hundred"):
        check_ranker(lambda: Popularity(MODEL), train, val.take(slice(0, 0)), tmp_path)


def test_popularity_counts_items_itself_where_no_feature_tells() -> None:
    """Without item_ctr and item_popularity the score is the item's smoothed click rate in the training rows."""
    rows = clicks(400)
    bare = rows.select(SCHEMA.names[0])
    ranker = Popularity(MODEL)
    ranker.fit(bare, bare, FitContext(SILENT))
    item = rows.items_N[0]
    of_item = rows.items_N == item
    rate, smoothing = rows.y_N.mean(), MODEL.popularity.smoothing
    expected = (rows.y_N[of_item].sum() + rate * smoothing) / (of_item.sum() + smoothing)
    assert ranker.score(bare)[0] == pytest.approx(expected, abs=1e-6)
