"""Average precision, figures of several classes and of numbers are those of scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orita.stats.classification import f1_by_class, macro_f1, multiclass_accuracy, multiclass_log_loss, weighted_f1
from orita.stats.metrics import average_precision
from orita.stats.regression import mean_absolute_error, r_squared, root_mean_squared_error

# Here and not in a test: a first import takes longer than a drawn example may.
reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")

SCORES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8).map(lambda n: n / 8)), max_size=60)
CLASSES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)
NUMBERS = st.lists(st.tuples(st.integers(-50, 50).map(float), st.integers(-50, 50).map(float)), min_size=2, max_size=40)


@given(SCORES)
def test_average_precision_is_that_of_scikit_learn(rows: list[tuple[int, float]]) -> None:
    """It agrees, with any ties, and is NaN without a positive."""
    y_N, scores_N = (np.array([row[column] for row in rows]) for column in (0, 1))
    if y_N.any():
        assert average_precision(y_N, scores_N) == pytest.approx(reference.average_precision_score(y_N, scores_N))
    else:
        assert math.isnan(average_precision(y_N, scores_N))


@given(CLASSES)
def test_class_figures_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    """Accuracy, macro and weighted F1 agree, also where a class is never met or never predicted."""
    y_N, predicted_N = (np.array(column) for column in zip(*pairs, strict=True))
    f1 = {name: reference.f1_score(y_N, predicted_N, average=name, zero_division=0) for name in ("macro", "weighted")}
    assert macro_f1(y_N, predicted_N, 4) == pytest.approx(f1["macro"])
    assert weighted_f1(y_N, predicted_N, 4) == pytest.approx(f1["weighted"])
    assert multiclass_accuracy(y_N, predicted_N) == pytest.approx(reference.accuracy_score(y_N, predicted_N))
    expected = reference.f1_score(y_N, predicted_N, average=None, labels=range(4), zero_division=0)
    assert f1_by_class(y_N, predicted_N, 4) == pytest.approx(expected)


def test_log_loss_of_classes_is_that_of_scikit_learn() -> None:
    """It agrees, rows that do not add up to 1 are scaled, and a probability of 0 costs much, not everything."""
    random = np.random.default_rng(0)
    p_NK, y_N = random.dirichlet([1, 1, 1], 50), random.integers(0, 3, 50)
    assert multiclass_log_loss(y_N, p_NK) == pytest.approx(reference.log_loss(y_N, p_NK, labels=[0, 1, 2]))
    assert multiclass_log_loss(y_N, 5 * p_NK) == pytest.approx(multiclass_log_loss(y_N, p_NK))
    assert multiclass_log_loss(np.array([0]), np.array([[0.0, 1.0]])) == pytest.approx(-math.log(1e-7))


@given(NUMBERS)
def test_regression_figures_are_those_of_scikit_learn(pairs: list[tuple[float, float]]) -> None:
    """RMSE, MAE and R² agree; R² of targets that are all equal is not defined."""
    y_N, predicted_N = (np.array(column) for column in zip(*pairs, strict=True))
    assert root_mean_squared_error(y_N, predicted_N) == pytest.approx(
        math.sqrt(reference.mean_squared_error(y_N, predicted_N))
    )
    assert mean_absolute_error(y_N, predicted_N) == pytest.approx(reference.mean_absolute_error(y_N, predicted_N))
    if len(set(y_N.tolist())) > 1:
        assert r_squared(y_N, predicted_N) == pytest.approx(reference.r2_score(y_N, predicted_N))
    else:
        assert math.isnan(r_squared(y_N, predicted_N))


def test_no_rows_have_no_figures() -> None:
    """Of nothing, every figure is NaN."""
    none, numbers = np.zeros(0, np.int64), np.zeros(0)
    figures = [multiclass_accuracy(none, none), macro_f1(none, none, 2), weighted_f1(none, none, 2)]
    figures += [multiclass_log_loss(none, np.zeros((0, 2))), root_mean_squared_error(numbers, numbers)]
    figures += [mean_absolute_error(numbers, numbers), r_squared(numbers, numbers)]
    assert all(map(math.isnan, figures))
