"""Trees that learn clicks, and trees that learn the order of a user's items."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from pydantic import ValidationError
from tests.models.clicks import MODEL, TRAINING, clicks

from orita.core.errors import UserError
from orita.core.progress import SILENT
from orita.models.build import build_ranker
from orita.models.config import LightGBMSection, ModelSection
from orita.models.examples import Examples
from orita.models.lambdamart import LambdaMart, _in_lists
from orita.models.ranker import FitContext, Ranker
from orita.stats.metrics import auc, log_loss


def test_lists_are_users_and_no_longer_than_the_library_takes() -> None:
    """Rows of a user stand together, in their order; a list that is too long is cut, and no row is lost."""
    rows = clicks(300, users=3)
    many = rows.take(np.tile(np.arange(300), 80))
    listed, size_L = _in_lists(many)
    assert size_L.sum() == len(listed) == len(many)
    assert size_L.max() <= 10_000
    ends_L = np.cumsum(size_L)
    for begin, end in zip(ends_L - size_L, ends_L, strict=True):
        assert len(np.unique(listed.users_N[begin:end])) == 1
    first = many.users_N == listed.users_N[0]
    assert np.array_equal(listed.time_N[listed.users_N == listed.users_N[0]], many.time_N[first])


def _auc_within_users(rows: Examples, ranker: Ranker) -> float:
    scores_N = ranker.score(rows)
    lists = [rows.users_N == user for user in np.unique(rows.users_N)]
    return float(np.mean([auc(rows.y_N[own_N], scores_N[own_N]) for own_N in lists if 0 < rows.y_N[own_N].mean() < 1]))


def test_the_order_of_new_rows_is_learned() -> None:
    """Within a user's rows LambdaMART ranks far better than popularity does."""
    train, val, test = clicks(6000, seed=1), clicks(1500, seed=2), clicks(3000, seed=3)
    longer = MODEL.model_copy(update={"lightgbm": MODEL.lightgbm.model_copy(update={"max_trees": 300, "patience": 50})})
    aucs = {}
    for type_ in ("lambdamart", "popularity"):
        ranker = build_ranker(type_, longer, TRAINING)
        ranker.fit(train, val, FitContext(SILENT))
        aucs[type_] = _auc_within_users(test, ranker)
    assert aucs["lambdamart"] > aucs["popularity"] + 0.01, aucs


def test_scores_are_probabilities() -> None:
    """The log loss is better than that of the click rate, given to all rows, and the mean score is near that rate."""
    train, val, test = clicks(6000, seed=1), clicks(1500, seed=2), clicks(3000, seed=3)
    ranker = LambdaMart(MODEL)
    ranker.fit(train, val, FitContext(SILENT))
    scores_N = ranker.score(test)
    assert log_loss(test.y_N, scores_N) < log_loss(test.y_N, np.full_like(scores_N, train.y_N.mean())) - 0.02
    assert abs(scores_N.mean() - test.y_N.mean()) < 0.05


def test_lists_without_an_order_cannot_be_calibrated() -> None:
    """With every row a list of its own there is no order to learn, and the refusal says that scores tell nothing."""
    rows = clicks(1500)
    alone = replace(rows, users_N=np.arange(len(rows)))
    ranker = LambdaMart(MODEL)
    with pytest.raises(UserError, match="scores"):
        ranker.fit(alone.take(slice(0, 1000)), alone.take(slice(1000, None)), FitContext(SILENT))


@pytest.mark.parametrize("by", ["auc", "log_loss"])
def test_growing_ends_by_the_figure_that_is_named(by: Literal["auc", "log_loss"]) -> None:
    """The trees that count are those where that figure was best, and ``patience`` trees later growing ended."""
    ranker = build_ranker("lightgbm", _stopping(by, max_trees=400, patience=15), TRAINING)
    report = ranker.fit(clicks(3000, seed=1), clicks(800, seed=2), FitContext(SILENT))
    values = np.array([epoch[f"val_{by}"] for epoch in report.history])
    best = int(values.argmax() if by == "auc" else values.argmin())
    assert report.params["trees"] == best + 1
    assert len(values) == best + 1 + 15 < 400


@pytest.mark.parametrize("type_", ["lightgbm", "lambdamart"])
def test_without_early_stopping_all_trees_grow(type_: str) -> None:
    """With ``none`` every tree counts, also those after which the figures on validation rows only fell."""
    model = _stopping("none", max_trees=60, patience=1)
    report = build_ranker(type_, model, TRAINING).fit(clicks(1500, seed=1), clicks(400, seed=2), FitContext(SILENT))
    assert report.params["trees"] == len(report.history) == 60


def test_a_figure_that_trees_cannot_stop_by_is_refused() -> None:
    """The configuration names what is allowed."""
    with pytest.raises(ValidationError, match="'none', 'auc' or 'log_loss'"):
        LightGBMSection.model_validate({"early_stopping": "accuracy"})


def _stopping(by: Literal["none", "auc", "log_loss"], *, max_trees: int, patience: int) -> ModelSection:
    trees = MODEL.lightgbm.model_copy(update={"early_stopping": by, "max_trees": max_trees, "patience": patience})
    return MODEL.model_copy(update={"lightgbm": trees})


def test_trees_that_stop_by_an_undefined_auc_are_refused() -> None:
    """On validation rows of one kind growing would end at the first tree, without a word; by log loss it goes on."""
    train, val = clicks(600), clicks(200, seed=1)
    negatives = val.take(np.flatnonzero(val.y_N == 0))
    with pytest.raises(UserError, match=r"validation rows 0 are positive: an AUC needs both kinds.*log_loss or none"):
        build_ranker("lightgbm", MODEL, TRAINING).fit(train, negatives, FitContext(SILENT))
    by_loss = MODEL.model_copy(update={"lightgbm": MODEL.lightgbm.model_copy(update={"early_stopping": "log_loss"})})
    report = build_ranker("lightgbm", by_loss, TRAINING).fit(train, negatives, FitContext(SILENT))
    assert report.history
