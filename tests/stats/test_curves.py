"""Curves hold the figures that are named after them, thinned or not."""

from __future__ import annotations

import numpy as np
import pytest

from orita.stats.curves import Curve, gain_curve, precision_recall_curve, roc_curve, thinned
from orita.stats.metrics import auc, average_precision


def sample(rows: int = 5000) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and scores with ties."""
    random = np.random.default_rng(0)
    y_N = random.random(rows) < 0.3
    return y_N, np.round(y_N + random.normal(size=rows), 3)


def area(curve: Curve) -> float:
    """Return the area under straight lines between the points."""
    return float(((curve.y_T[1:] + curve.y_T[:-1]) / 2 * np.diff(curve.x_T)).sum())


def test_the_area_under_a_curve_is_its_figure() -> None:
    """ROC: the AUC; precision-recall in steps: the average precision; gain: half the positives' share of pairs more."""
    y_N, scores_N = sample()
    roc, recall, gain = (curve(y_N, scores_N) for curve in (roc_curve, precision_recall_curve, gain_curve))
    assert area(roc) == pytest.approx(auc(y_N, scores_N))
    steps = float((np.diff(recall.x_T, prepend=0) * recall.y_T).sum())
    assert steps == pytest.approx(average_precision(y_N, scores_N))
    assert area(gain) == pytest.approx(y_N.mean() / 2 + (1 - y_N.mean()) * auc(y_N, scores_N))


def test_thinning_keeps_the_shape() -> None:
    """Of thousands of points at most 100 stay, with both ends, and the area moves by less than 0.001."""
    y_N, scores_N = sample()
    whole = roc_curve(y_N, scores_N)
    few = thinned(whole, 100)
    assert len(few.x_T) <= 100 < len(whole.x_T)
    assert (few.x_T[0], few.y_T[0], few.x_T[-1], few.y_T[-1]) == (0, 0, 1, 1)
    assert area(few) == pytest.approx(area(whole), abs=1e-3)
    assert thinned(few, 100) is few


def test_a_first_precision_may_be_asked_to_rest_on_enough_rows() -> None:
    """Thresholds that take fewer rows in are left out, unless there are no others."""
    y_N, scores_N = np.array([0, 1, 1, 0]), np.array([4.0, 3.0, 2.0, 1.0])
    assert precision_recall_curve(y_N, scores_N, least_rows=3).y_T.tolist() == pytest.approx([2 / 3, 0.5])
    assert precision_recall_curve(y_N, scores_N, least_rows=9).y_T.tolist() == [0.5]
