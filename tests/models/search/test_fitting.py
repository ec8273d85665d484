"""One trial: trained on training rows, judged on validation rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.models.clicks import MODEL, clicks

from orita.core.errors import UserError
from orita.core.progress import SILENT
from orita.models.evaluation import evaluate
from orita.models.popularity import Popularity
from orita.models.ranker import FitContext, Ranker
from orita.models.search.fitting import Judging, fit_trial

TRAIN, VAL = clicks(1200), clicks(400, seed=1)


def popularity() -> Ranker:
    """Return an untrained model that takes no time."""
    return Popularity(MODEL)


def test_the_figure_is_that_of_the_validation_rows() -> None:
    """Value, interval and further figures are those of an evaluation; the halves are of users, and part the rows."""
    found = fit_trial(popularity, TRAIN, VAL, Judging("auc", ("log_loss", "novelty_at_10")), FitContext(SILENT))
    ranker = popularity()
    ranker.fit(TRAIN, VAL, FitContext(SILENT))
    told = evaluate(ranker.score(VAL), VAL, metrics=("auc", "log_loss"), slices=(), resamples=200)
    assert found.value == told.metrics["auc"] and found.interval == told.intervals["auc"]
    assert set(found.figures) == {"auc", "log_loss", "novelty_at_10"} and len(found.parts) == 2
    assert min(found.parts) < found.value + 0.02 and max(found.parts) > found.value - 0.02


def test_a_calibration_does_not_judge_itself() -> None:
    """Fitted on the rows that judge it, isotonic regression flatters a log loss; fitted on other users it does not."""
    fair = fit_trial(popularity, TRAIN, VAL, Judging("log_loss", calibration="isotonic"), FitContext(SILENT))
    ranker = popularity()
    ranker.fit(TRAIN, VAL, FitContext(SILENT))
    from orita.models.calibration import fit_calibration

    scores_N = ranker.score(VAL)
    flattered = fit_calibration("isotonic", VAL.y_N, scores_N).apply(scores_N)
    assert fair.value > (evaluate(flattered, VAL, metrics=("log_loss",), slices=()).metrics["log_loss"] or 0.0)


def test_folds_go_forward_in_time_over_both_parts(tmp_path: Path) -> None:
    """The value is the mean of the folds, and epochs are told of the first fold alone."""
    pytest.importorskip("lightgbm", reason="the extra train is not installed")
    from orita.models.gradient_boosting import GradientBoosting

    told: list[tuple[int, bool]] = []

    def on_epoch(epoch: int, figures: Mapping[str, float]) -> None:
        told.append((epoch, bool(figures)))

    later = replace(VAL, time_N=VAL.time_N + TRAIN.time_N.max() + 1)
    context = FitContext(SILENT, tmp_path, on_epoch=on_epoch)
    found = fit_trial(lambda: GradientBoosting(MODEL), TRAIN, later, Judging("auc", folds=3), context)
    assert found.value == pytest.approx(np.mean(found.parts)) and len(found.parts) == 3 and found.interval is None
    first = [epoch for epoch, figures in told if figures]
    assert first == list(range(1, len(first) + 1)) and len(first) < len(told)


def test_rows_that_do_not_define_the_figure_are_an_error() -> None:
    """A trial without a figure fails with a sentence, instead of ranking somewhere."""
    only = VAL.take(np.flatnonzero(VAL.y_N > 0))
    with pytest.raises(UserError, match="do not define auc"):
        fit_trial(popularity, TRAIN, only, Judging("auc"), FitContext(SILENT))


def test_rows_are_joined_with_all_that_they_have() -> None:
    """Every column of two blocks is put together, outcomes too."""
    first = replace(TRAIN, outcomes={"like": TRAIN.y_N, "share": TRAIN.y_N})
    second = replace(VAL, outcomes={"like": VAL.y_N})
    both = first.and_then(second)
    assert len(both) == len(TRAIN) + len(VAL) and both.schema is TRAIN.schema
    assert set(both.outcomes) == {"like"} and len(both.outcomes["like"]) == len(both.x_NF) == len(both.time_N)
