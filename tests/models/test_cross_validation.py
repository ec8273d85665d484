"""Every fold trains a fresh model on rows it is not judged on, shuffled or strictly earlier ones."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tests.models.clicks import MODEL, clicks

from orita.core.errors import UserError
from orita.models.evaluation import cross_validate
from orita.models.evaluation.cross_validation import shuffled_folds, time_folds
from orita.models.examples import Examples
from orita.models.popularity import Popularity
from orita.models.ranker import FitContext, FitReport
from orita.stats.metrics import auc


class Witness:
    """A ranker that remembers what it was given, and scores by a feature."""

    type = "witness"

    def __init__(self) -> None:
        self.seen: dict[str, Examples] = {}

    def fit(self, train: Examples, val: Examples, context: FitContext) -> FitReport:
        """Remember."""
        assert not self.seen, "a model is fitted once"
        self.seen |= {"train": train, "val": val}
        return FitReport()

    def score(self, rows: Examples) -> npt.NDArray[np.float32]:
        """Return the item's rate."""
        self.seen["test"] = rows
        return np.nan_to_num(rows.x_NF[:, rows.schema.index("item_ctr")], nan=0.5)

    def export(self, folder: Path) -> None:
        """Never asked for."""
        raise AssertionError


class Builder:
    """Builds witnesses, and keeps them."""

    def __init__(self) -> None:
        self.built: list[Witness] = []

    def __call__(self) -> Witness:
        """Return a new one."""
        self.built.append(Witness())
        return self.built[-1]


def test_shuffled_folds_test_every_row_once() -> None:
    """Five folds of even size, disjoint from what they are trained on, the same for the same seed."""
    folds = list(shuffled_folds(103))
    assert sorted(row for _, test in folds for row in test) == list(range(103))
    for train, test in folds:
        assert sorted([*train, *test]) == list(range(103))
        assert len(test) in (20, 21)
    again, other = list(shuffled_folds(103)), list(shuffled_folds(103, seed=1))
    assert all((a[1] == b[1]).all() for a, b in zip(folds, again, strict=True))
    assert any((a[1] != b[1]).any() for a, b in zip(folds, other, strict=True) if len(a[1]) == len(b[1]))


def test_time_folds_train_on_the_past_alone() -> None:
    """All training rows are more than the gap older than any test row; equal times are never parted."""
    time_N = np.random.default_rng(0).integers(0, 50, 400) * 60_000_000
    tested = []
    for train, test in time_folds(time_N, 4, gap=timedelta(minutes=3)):
        assert time_N[train].max() < time_N[test].min() - 3 * 60_000_000
        assert not set(time_N[train].tolist()) & set(time_N[test].tolist())
        tested += test.tolist()
    assert len(tested) == len(set(tested))
    assert set(np.flatnonzero(time_N >= time_N[tested].min())) == set(tested)
    windows = [len(train) for train, _ in time_folds(time_N, 4)]
    assert windows == sorted(windows)


@pytest.mark.parametrize("order", ["shuffled", "time"])
def test_a_fresh_model_learns_each_fold(order: str) -> None:
    """The scores are the AUCs of the folds' test rows, with mean and deviation; validation rows come from training."""
    rows, build = clicks(900), Builder()
    found = cross_validate(build, rows, order=order)  # type: ignore[arg-type]
    assert len(build.built) == 5
    aucs = []
    for model, fold in zip(build.built, found.folds, strict=True):
        times = {name: set(part.time_N.tolist()) for name, part in model.seen.items()}
        assert not (times["train"] | times["val"]) & times["test"]
        assert not times["train"] & times["val"]
        assert (fold.train_rows, fold.val_rows) == (len(times["train"]), len(times["val"]))
        assert fold.val_rows == pytest.approx(0.1 * (fold.train_rows + fold.val_rows), abs=1)
        if order == "time":
            assert max(times["train"]) < min(times["val"]) < max(times["val"]) < min(times["test"])
        tested = model.seen["test"]
        aucs.append(auc(tested.y_N, Witness.score(model, tested)))
    assert found.scores == aucs
    assert found.mean_score == pytest.approx(np.mean(aucs))
    assert found.std_score == pytest.approx(np.std(aucs))
    assert set(json.loads(json.dumps(found.to_dict()))) >= {"mean_score", "std_score", "scores"}


def test_rows_with_times_are_cut_by_time() -> None:
    """Unless told otherwise: rows of different times go by time, rows of one time are shuffled."""
    rows = clicks(600)
    assert cross_validate(lambda: Popularity(MODEL), rows).order == "time"
    still = replace(rows, time_N=np.zeros(600, np.int64))
    found = cross_validate(lambda: Popularity(MODEL), still, metric="ndcg_at_5", folds=3)
    assert (found.order, found.metric, len(found.scores)) == ("shuffled", "ndcg_at_5", 3)


def test_folds_that_cannot_be_are_refused() -> None:
    """Too few folds, too many, a gap that leaves nothing, and figures that a fold does not define."""
    rows = clicks(60)
    with pytest.raises(UserError, match="folds is 1 for 60 rows"):
        cross_validate(Builder(), rows, folds=1)
    with pytest.raises(UserError, match=r"0 rows to learn from .* gap shorter than 1 day"):
        cross_validate(Builder(), rows, gap=timedelta(days=1))
    with pytest.raises(UserError, match="only folds in the order of time"):
        cross_validate(Builder(), rows, order="shuffled", gap=timedelta(hours=1))
    with pytest.raises(UserError, match=r"metric is 'aucc', which is no figure\. Did you mean 'auc'"):
        cross_validate(Builder(), rows, metric="aucc")
    with pytest.raises(UserError, match="gap is"):
        list(time_folds(rows.time_N, gap=timedelta(seconds=-1)))
    with pytest.raises(UserError, match="val_share is 1"):
        cross_validate(Builder(), rows, val_share=1)
    none = rows.take(np.flatnonzero(rows.y_N == 0))
    with pytest.raises(UserError, match=r"fold 1 has .* do not define auc"):
        cross_validate(Builder(), replace(rows, y_N=np.where(np.arange(60) < 15, rows.y_N, 0)), folds=3)
    with pytest.raises(UserError, match=r"fold 1 of 3: witness was given 9 training rows, 0 of them positive"):
        cross_validate(Builder(), none, folds=3)
