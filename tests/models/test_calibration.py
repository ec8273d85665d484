"""A calibration makes probabilities of scores and keeps their order."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orita.core.errors import UserError
from orita.models.calibration import Calibration, fit_calibration
from orita.stats.metrics import auc, expected_calibration_error, log_loss

Floats = npt.NDArray[np.float64]


def overconfident(rows: int, seed: int = 0) -> tuple[Floats, npt.NDArray[np.float32]]:
    """Return labels, and scores whose logits are twice what they should be and shifted."""
    random = np.random.default_rng(seed)
    logit_N = random.normal(size=rows) - 1
    y_N = (random.random(rows) < 1 / (1 + np.exp(-logit_N))).astype(np.float64)
    return y_N, (1 / (1 + np.exp(-(2 * logit_N + 1)))).astype(np.float32)


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_new_rows_are_calibrated_and_in_the_same_order(method: str) -> None:
    """On rows that it was not fitted on, calibration error and log loss fall, and AUC stays."""
    calibration = fit_calibration(method, *overconfident(8000))
    y_N, scores_N = overconfident(8000, seed=1)
    mended_N = calibration.apply(scores_N)
    assert mended_N.dtype == np.float32
    assert expected_calibration_error(y_N, scores_N) > 0.08
    assert expected_calibration_error(y_N, mended_N) < 0.03
    assert log_loss(y_N, mended_N) < log_loss(y_N, scores_N)
    assert auc(y_N, mended_N) == pytest.approx(auc(y_N, scores_N), abs=1e-6)


def test_platt_finds_what_was_done_to_the_logits() -> None:
    """Scores with logits 2 x + 1 of the true logits x are mended by half of them, less a half."""
    calibration = fit_calibration("platt", *overconfident(200_000))
    assert (calibration.slope, calibration.offset) == pytest.approx((0.5, -0.5), abs=0.02)


def test_platt_agrees_with_scikit_learn() -> None:
    """On the same targets, the fit is that of scikit-learn's sigmoid calibration."""
    sigmoid = pytest.importorskip("sklearn.calibration", reason="scikit-learn is not installed")
    y_N, scores_N = overconfident(500)
    p_N = np.asarray(scores_N, np.float64)
    a, b = sigmoid._sigmoid_calibration(np.log(p_N) - np.log1p(-p_N), y_N)
    ours = fit_calibration("platt", y_N, scores_N)
    assert (ours.slope, ours.offset) == pytest.approx((-a, -b), abs=1e-3)


def test_isotonic_takes_the_steps_of_scikit_learn() -> None:
    """Every point is the mean score of a step of isotonic regression, and the step's rate."""
    isotonic = pytest.importorskip("sklearn.isotonic", reason="scikit-learn is not installed")
    y_N, scores_N = overconfident(3000)
    steps_N = isotonic.IsotonicRegression(out_of_bounds="clip").fit(scores_N.astype(np.float64), y_N).predict(scores_N)
    rates, step_N = np.unique(np.round(steps_N, 9), return_inverse=True)
    inside = (rates > 0) & (rates < 1)
    centres = np.bincount(step_N, scores_N) / np.bincount(step_N)
    ours = fit_calibration("isotonic", y_N, scores_N)
    np.testing.assert_allclose(np.interp(centres[inside], ours.scores_K, ours.rates_K), rates[inside], atol=1e-6)


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=2, max_size=60))
def test_isotonic_rises_strictly_from_any_rows(rows: list[tuple[float, bool]]) -> None:
    """Whatever it is fitted on: points rise strictly, so that no two scores that differ become one in float64."""
    y_N = np.array([label for _, label in rows], np.float64)
    if not 0 < y_N.sum() < len(y_N):
        return
    calibration = fit_calibration("isotonic", y_N, np.array([score for score, _ in rows], np.float32))
    assert np.all(np.diff(calibration.scores_K) > 0)
    assert np.all(np.diff(calibration.rates_K) > 0)
    assert calibration.scores_K[0] == 0
    assert calibration.scores_K[-1] == 1
    assert Calibration.from_dict(json.loads(json.dumps(calibration.to_dict()))) == calibration


def test_rows_without_a_positive_are_no_proof_of_never() -> None:
    """A first step without positives, a last one without negatives, and scores of 0 and 1 stay inside (0, 1)."""
    scores_N = np.array([0.0] * 50 + [0.4, 0.6] * 20 + [1.0] * 50)
    y_N = np.array([0] * 50 + [0, 1] * 20 + [1] * 50)
    mended_N = fit_calibration("isotonic", y_N, scores_N).apply(np.array([0.0, 1.0]))
    assert 0 < mended_N[0] < 0.05
    assert 0.95 < mended_N[1] < 1


def test_none_changes_nothing() -> None:
    """The method ``none`` returns the scores."""
    y_N, scores_N = overconfident(100)
    calibration = fit_calibration("none", y_N, scores_N)
    np.testing.assert_array_equal(calibration.apply(scores_N), scores_N)
    assert Calibration.from_dict(calibration.to_dict()) == calibration
    assert fit_calibration("none", np.zeros(5), np.full(5, 0.2)).rows == 5, "labels of one kind stop no other method"


def test_extreme_and_equal_scores_have_a_calibration() -> None:
    """Scores of 0 and 1, or all the same, are fitted without a warning or a number that is none."""
    y_N = np.array([0, 1, 0, 1])
    for scores in ([0, 0, 1, 1], [0.5, 0.5, 0.5, 0.5]):
        try:
            mended_N = fit_calibration("platt", y_N, np.array(scores)).apply(np.array([0.0, 0.5, 1.0]))
        except UserError as refused:
            assert "the slope" in str(refused)
        else:
            assert np.all((mended_N >= 0) & (mended_N <= 1))


@pytest.mark.parametrize(
    ("method", "y", "scores", "sentence"),
    [
        ("isotonc", [0, 1], [0.1, 0.2], "'isotonc'. Did you mean 'isotonic'"),
        ("platt", [0, 1], [0.1], "they must agree"),
        ("platt", [0, 1], [0.1, 1.2], r"not in \[0, 1\]"),
        ("platt", [0, 1], [0.1, np.nan], r"not in \[0, 1\]"),
        ("platt", [0, 2], [0.1, 0.2], "not 0 or 1"),
        ("isotonic", [1, 1], [0.1, 0.2], "2 rows, 2 of them positive"),
        ("platt", [1, 0] * 20, [0.1, 0.9] * 20, "higher scores do not go with more positives"),
    ],
)
def test_what_cannot_be_fitted_is_one_sentence(method: str, y: list[int], scores: list[float], sentence: str) -> None:
    """Unknown methods, rows that do not fit together, and a model that ranks backwards are refused."""
    with pytest.raises(UserError, match=sentence):
        fit_calibration(method, np.array(y), np.array(scores))


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"method": "none"},
        {"method": "platt", "rows": 1, "slope": 0.0, "offset": 0.0},
        {"method": "platt", "rows": 1, "slope": 1e9, "offset": 0.0},
        {"method": "platt", "rows": 1, "slope": 1.0, "offset": 0.0, "code": "x"},
        {"method": "isotonic", "rows": 1, "scores": [0, 0.5, 1], "rates": [0, 0.5, 0.5]},
        {"method": "isotonic", "rows": 1, "scores": [0.1, 1], "rates": [0, 1]},
        {"method": "isotonic", "rows": 1, "scores": [0, 1], "rates": [0, 1.5]},
        {"method": "isotonic", "rows": 1, "scores": [0, "1"], "rates": [0, 1]},
        {"method": "isotonic", "rows": 1, "scores": [0, True], "rates": [0, 1]},
    ],
)
def test_a_declaration_that_is_no_rising_function_is_refused(content: dict[str, object]) -> None:
    """What was not written by `to_dict`, or would change the order, is refused with what is allowed."""
    with pytest.raises(UserError, match="calibration has the value"):
        Calibration.from_dict(content)
