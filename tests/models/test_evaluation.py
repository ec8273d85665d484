"""An evaluation says how good a model is, for whom, and beside what; a comparison says whether it is better."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError
from tests.models.clicks import SCHEMA, clicks

from orita.core.errors import NotFound, UserError
from orita.models.config import EvaluationSection
from orita.models.evaluation import METRICS, compare, evaluate
from orita.models.examples import Examples
from orita.stats import metrics as figures


def scores_of(rows: Examples, sharpness: float = 1.0, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return noisy scores that know something of the labels."""
    noise = np.random.default_rng(seed).normal(size=len(rows))
    return (1 / (1 + np.exp(-(sharpness * (rows.y_N - 0.5) + noise)))).astype(np.float32)


def test_every_figure_is_there_and_all_of_it_is_json() -> None:
    """All metrics, an interval around each but coverage, slices, calibration bins and lift, as plain JSON values."""
    rows, train = clicks(800, seed=1), clicks(900, seed=2)
    scores_N = scores_of(rows)
    found = evaluate(scores_N, rows, train=train, resamples=50)
    assert set(found.metrics) == set(METRICS)
    assert found.metrics["auc"] == figures.auc(rows.y_N, scores_N)
    ranking = figures.rank_groups(rows.y_N, scores_N, rows.users_N)
    assert found.metrics["precision_at_10"] == figures.precision_at_k(ranking, 10)
    assert set(found.intervals) == set(METRICS) - {"coverage_at_10"} | {"lift_over_popularity"}
    for name, (low, high) in found.intervals.items():
        value = found.over_popularity["lift"] if name == "lift_over_popularity" else found.metrics[name]
        assert value is not None
        assert low < value < high
    assert sum(b.rows for b in found.calibration) == found.rows == 800
    popular = found.over_popularity
    assert popular["auc"] is not None
    assert popular["lift"] == pytest.approx((found.metrics["auc"] - 0.5) / (popular["auc"] - 0.5))
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["positives"] == found.positives


def test_a_lift_below_chance_has_an_interval_around_it() -> None:
    """A model that ranks backwards has a negative lift, between the ends of its interval."""
    rows, train = clicks(800, seed=1), clicks(900, seed=2)
    found = evaluate(1 - scores_of(rows), rows, metrics=["auc"], slices=[], train=train, resamples=50)
    (low, high), lift = found.intervals["lift_over_popularity"], found.over_popularity["lift"]
    assert lift is not None
    assert low < lift < high < 0


def test_slices_part_the_rows() -> None:
    """The slices of one feature hold every row once, missing values apart, each with its own figures."""
    rows = clicks(500)
    scores_N = scores_of(rows)
    found = evaluate(scores_N, rows, metrics=["auc"], slices=["topic"])
    assert {s.value for s in found.slices} == {"0", "1", "2", "3", "4", "missing"}
    assert sum(s.rows for s in found.slices) == 500
    assert sum(s.positives for s in found.slices) == found.positives
    within = rows.x_NF[:, SCHEMA.index("topic")] == 2
    second = next(s for s in found.slices if s.value == "2")
    assert second.metrics == {"auc": figures.auc(rows.y_N[within], scores_N[within])}
    assert evaluate(scores_N, rows, slices=[]).slices == []


def test_any_feature_makes_slices() -> None:
    """A number is cut into quarters that hold every row once, a number of few values by its values."""
    rows = clicks(800)
    found = evaluate(scores_of(rows), rows, metrics=["auc"], resamples=20)
    assert {s.name for s in found.slices} == set(SCHEMA.names)
    for name in SCHEMA.names:
        assert sum(s.rows for s in found.slices if s.name == name) == 800
    rates = {s.value: s.rows for s in found.slices if s.name == "item_ctr"}
    assert len(rates) == 5
    known = 800 - rates.pop("missing")
    assert all(rows == pytest.approx(known / 4, abs=20) for rows in rates.values())
    assert next(iter(rates)).startswith("≤ ")
    flags = [s.value for s in found.slices if s.name == "weekend"]
    assert flags == ["0", "1", "missing"]


def test_ranked_figures_exist_at_any_k() -> None:
    """``ndcg_at_5`` is nDCG of the best 5; a k that is no number, or 0, is no figure."""
    rows = clicks(300)
    scores_N = scores_of(rows)
    ranking = figures.rank_groups(rows.y_N, scores_N, rows.users_N)
    found = evaluate(scores_N, rows, metrics=["ndcg_at_5", "recall_at_1", "coverage_at_3"], slices=[]).metrics
    assert found["ndcg_at_5"] == figures.ndcg_at_k(ranking, 5)
    assert found["recall_at_1"] == figures.recall_at_k(ranking, 1)
    for name in ("ndcg_at_0", "ndcg_at_05", "ndcg_at_x", "auc_at_5", "map_at_10", "ndcg_at_٣"):
        with pytest.raises(UserError, match=r"evaluation\.metrics"):
            evaluate(scores_N, rows, metrics=[name])
        with pytest.raises(ValidationError, match="it is not a figure"):
            EvaluationSection(metrics=(name,))
    assert EvaluationSection(metrics=("ndcg_at_5", "auc")).metrics == ("ndcg_at_5", "auc")


def test_novelty_takes_popularity_from_training_rows() -> None:
    """It is not defined without them; with them, lists of rare items are newer than lists of common ones."""
    rows, train = clicks(600), clicks(4000, seed=5)
    train = train.take(np.flatnonzero((train.items_N > 60) | (np.arange(4000) % 20 == 0)))
    rare_N = (rows.items_N <= 60).astype(np.float32)

    def novelty(scores_N: npt.NDArray[np.float32], known: Examples | None) -> float | None:
        return evaluate(scores_N, rows, metrics=["novelty_at_3"], slices=[], train=known).metrics["novelty_at_3"]

    rare, common = novelty(rare_N, train), novelty(1 - rare_N, train)
    assert novelty(rare_N, None) is None
    assert novelty(rare_N, train.take(slice(0, 0))) is None
    assert rare is not None
    assert common is not None
    assert rare > common + 2


def test_newcomers_are_a_slice_of_their_own() -> None:
    """With training rows known and unknown users and items are told apart; an empty slice has no figures."""
    rows = clicks(300)
    known = rows.take(np.flatnonzero(rows.items_N > 30))
    found = evaluate(scores_of(rows), rows, slices=[], train=known)
    sizes = {(s.name, s.value): s.rows for s in found.slices}
    assert sizes["item", "unknown"] == int((rows.items_N <= 30).sum())
    assert sizes["item", "known"] + sizes["item", "unknown"] == 300
    empty = evaluate(scores_of(rows), rows, slices=[], train=rows)
    assert next(s for s in empty.slices if (s.name, s.value) == ("user", "unknown")).metrics["auc"] is None


def test_rows_of_one_kind_have_no_auc() -> None:
    """Without a click the AUC is None, not an error and not a number."""
    rows = clicks(100)
    none = rows.take(np.flatnonzero(rows.y_N == 0))
    found = evaluate(scores_of(none), none)
    assert found.metrics["auc"] is None
    assert found.metrics["log_loss"] is not None
    assert set(found.intervals) == {"log_loss", "brier_score", "accuracy", "calibration_error"}


def test_a_comparison_tells_a_gain_from_noise() -> None:
    """A sharper model is better for certain, the same model is not, and a worse one is not either."""
    rows = clicks(2500)
    sharp_N, dull_N = scores_of(rows, 2.0), scores_of(rows, 1.0)
    assert compare(sharp_N, dull_N, rows).better
    assert not compare(dull_N, sharp_N, rows).better
    twin = compare(dull_N, scores_of(rows, 1.0, seed=1), rows)
    assert not twin.better
    assert twin.low is not None
    assert twin.high is not None
    assert twin.low < 0 < twin.high
    assert twin.delta == pytest.approx(twin.a - twin.b)


@pytest.mark.parametrize("users", [1, 9])
def test_a_few_users_make_no_model_better(users: int) -> None:
    """However large the gain, fewer than ten users with clicks are too few to be sure, and the comparison says so."""
    rows = clicks(2500)
    few = replace(rows, users_N=np.arange(2500) % users)
    found = compare(scores_of(rows, 2.0), scores_of(rows, 0.1), few, metrics=["log_loss"])
    assert found.delta > 0.05
    assert found.users == users
    assert (found.better, found.verdict) == (False, "not surely better or worse")
    assert ("one user" if users == 1 else "9 users") in found.too_few
    assert "10 are needed" in found.too_few
    assert (found.low is None) == (found.metrics["log_loss"].high is None) == (found.delong is None) == (users == 1)
    json.dumps(found.to_dict(), allow_nan=False)
    enough = compare(scores_of(rows, 2.0), scores_of(rows, 0.1), replace(rows, users_N=np.arange(2500) % 10))
    assert (enough.better, enough.too_few) == (True, "")


def test_delongs_test_knows_of_repeated_users() -> None:
    """Beside an interval over users stands one over users: rows that come three times make nobody surer."""
    rows = clicks(800)
    rows = replace(rows, users_N=np.arange(800))
    sharp_N, dull_N = scores_of(rows, 2.0), scores_of(rows, 1.9)
    once, thrice = (
        compare(np.tile(sharp_N, n), np.tile(dull_N, n), rows.take(np.tile(np.arange(800), n)), resamples=10).delong
        for n in (1, 3)
    )
    assert once is not None
    assert thrice is not None
    assert (once.low, once.high) == pytest.approx((thrice.low, thrice.high), abs=1e-3)


def test_a_comparison_has_every_figure_and_delongs_test() -> None:
    """Other figures come with paired intervals; DeLong's interval is near that of the bootstrap over single rows."""
    rows = clicks(2500)
    rows = replace(rows, users_N=np.arange(2500))
    sharp_N, dull_N = scores_of(rows, 2.0), scores_of(rows, 1.9)
    found = compare(sharp_N, dull_N, rows, metrics=["log_loss", "auc", "coverage_at_1", "precision_at_10"])
    assert found.delong is not None
    assert found.delong.value == pytest.approx(found.delta)
    assert found.low is not None
    assert found.high is not None
    assert (found.delong.low, found.delong.high) == pytest.approx((found.low, found.high), abs=0.1 * found.delta)
    assert set(found.metrics) == {"log_loss", "coverage_at_1"}  # no user has ten rows
    loss = found.metrics["log_loss"]
    assert loss.low is not None
    assert loss.high is not None
    assert loss.low < loss.a - loss.b == loss.delta < loss.high < 0
    assert found.metrics["coverage_at_1"].low is None
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["delong"]["p_value"] < 0.05


def test_wrong_input_is_one_sentence() -> None:
    """Lengths, scores that are no probabilities, no rows, unknown metrics and slices are refused by name."""
    rows = clicks(20)
    scores_N = scores_of(rows)
    with pytest.raises(UserError, match="19 scores for 20 rows"):
        evaluate(scores_N[:19], rows)
    with pytest.raises(UserError, match="20 of 20 scores are not in"):
        evaluate(np.full_like(scores_N, np.nan), rows)
    with pytest.raises(UserError, match="0 rows to judge"):
        evaluate(scores_N[:0], rows.take(slice(0, 0)))
    with pytest.raises(UserError, match=r"'auk'.*Did you mean 'auc'"):
        evaluate(scores_N, rows, metrics=["auk"])
    with pytest.raises(NotFound, match=r"'topik'.*Did you mean 'topic'"):
        evaluate(scores_N, rows, slices=["topik"])
    with pytest.raises(UserError, match="only one kind"):
        compare(scores_N[:1], scores_N[:1], rows.take(slice(0, 1)))
