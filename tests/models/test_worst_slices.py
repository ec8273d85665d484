"""A search for bad slices finds what is there, first, and nothing where there is nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from orita.core.errors import NotFound, UserError
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.evaluation import worst_slices
from orita.models.evaluation.parts import partings
from orita.models.evaluation.slice_measures import Measure
from orita.models.evaluation.slice_search import SliceSearch, cells_of
from orita.models.examples import Examples

SCHEMA = FeatureSchema(
    (
        FeatureColumn("age", "user"),
        FeatureColumn("plan", "user", "category", 3),
        FeatureColumn("topic", "item", "category", 4),
        FeatureColumn("device", "context", "category", 3),
        FeatureColumn("weekend", "context", "flag"),
    )
)
Scores = npt.NDArray[np.float32]


def sigmoid(logit_N: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return probabilities."""
    return 1 / (1 + np.exp(-logit_N.astype(np.float64)))


def world(seed: int, rows: int = 6000, *, hard: float = 0.0) -> tuple[Examples, Scores]:
    """Return rows with calibrated scores; for a share *hard* of users, and of items, scores say the opposite."""
    random = np.random.default_rng(seed)
    users, items = 150, 100
    users_N, items_N = random.integers(0, users, rows), random.integers(0, items, rows)
    x_NF = np.column_stack(
        [
            random.normal(size=users)[users_N],
            random.integers(0, 3, users)[users_N],
            random.integers(0, 4, items)[items_N],
            random.integers(0, 3, rows),
            random.integers(0, 2, rows),
        ]
    ).astype(np.float32)
    x_NF[random.random(x_NF.shape) < 0.03] = np.nan
    scores_N = sigmoid(1.2 * random.normal(size=rows) - 0.5)
    hard_N = (random.random(users) < hard)[users_N] ^ (random.random(items) < hard)[items_N]
    y_N = (random.random(rows) < np.where(hard_N, 1 - scores_N, scores_N)).astype(np.float32)
    times = np.arange(rows, dtype=np.int64)
    return Examples(SCHEMA, users_N, items_N, x_NF, y_N, times), scores_N.astype(np.float32)


def spoiled(rows: Examples, scores_N: Scores, bad_N: npt.NDArray[np.bool_]) -> Scores:
    """Return scores that have nothing to do with the labels of some rows."""
    return np.where(bad_N, np.random.default_rng(1).permutation(scores_N), scores_N).astype(np.float32)


@pytest.mark.parametrize("measure", ["log_loss", "surprise", "auc"])
def test_a_planted_pair_is_found_and_nothing_else(measure: Measure) -> None:
    """Scores that mean nothing where topic = 2 and device = 1 are found there, and what holds it is not told again."""
    rows, scores_N = world(0, 8000)
    bad_N = (rows.x_NF[:, 2] == 2) & (rows.x_NF[:, 3] == 1)
    found = worst_slices(spoiled(rows, scores_N, bad_N), rows, measure=measure)
    (worst,) = found.slices
    assert worst.conditions == (("topic", "2"), ("device", "1"))
    assert worst.text == "topic = 2 and device = 1"
    assert worst.rows == int(bad_N.sum())
    assert worst.adjusted_p < 0.01
    assert worst.effect > 0.1
    assert worst.difference == pytest.approx(abs(worst.value - found.overall))
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["tested"] == found.tested > 60


def test_a_planted_value_is_found_without_its_parts() -> None:
    """Where one value is bad, it is told once, not again with every other feature."""
    rows, scores_N = world(1)
    found = worst_slices(spoiled(rows, scores_N, rows.x_NF[:, 3] == 0), rows)
    assert [worst.text for worst in found.slices] == ["device = 0"]


def test_a_range_and_newcomers_are_found_and_named() -> None:
    """A range of a number is named by its bounds, unknown items by what they are."""
    rows, scores_N = world(2)
    high = worst_slices(spoiled(rows, scores_N, rows.x_NF[:, 0] > 0.9), rows, pairs=False)
    assert high.slices[0].text.startswith("age > 0.")
    known = rows.take(np.flatnonzero(rows.items_N < 80))
    new = worst_slices(spoiled(rows, scores_N, rows.items_N >= 80), rows, train=known)
    assert new.slices[0].text == "item unknown"


def test_nothing_is_found_where_there_is_nothing() -> None:
    """Of 60 searches without a bad slice about 3 at most find one; taking rows for independent finds far more.

    Some users and some items are hard for the model, and features repeat with them, but none tells which.
    """
    alarms, p_values = {"clustered": 0, "independent": 0}, []
    for seed in range(60):
        rows, scores_N = world(seed + 10, 2500, hard=0.15)
        found = worst_slices(scores_N, rows, least_effect=0.0)
        alarms["clustered"] += bool(found.slices)
        search = SliceSearch("log_loss", rows, scores_N, 50)
        for cells in cells_of(partings(rows, None), pairs=False):
            p_values += [candidate.test.p_value for candidate in search.test(cells)]
        alone = np.arange(len(rows))
        apart = replace(rows, users_N=alone, items_N=alone)
        alarms["independent"] += bool(worst_slices(scores_N, apart, least_effect=0.0).slices)
    assert alarms["clustered"] <= 6
    assert alarms["independent"] >= 7
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.08


def test_small_slices_are_not_looked_at() -> None:
    """A slice under the least size is not tested, however bad; of many rows some are drawn, the same each time."""
    rows, scores_N = world(3)
    bad_N = (rows.x_NF[:, 2] == 2) & (rows.x_NF[:, 3] == 1)
    spoiled_N = spoiled(rows, scores_N, bad_N)
    assert "topic = 2 and device = 1" not in [
        worst.text for worst in worst_slices(spoiled_N, rows, least_rows=int(bad_N.sum()) + 1).slices
    ]
    drawn = [worst_slices(spoiled_N, rows, at_most=3000, seed=5) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert drawn[0].overall != worst_slices(spoiled_N, rows).overall


def test_wrong_input_is_one_sentence() -> None:
    """Unknown features and measures are refused with what exists, and an AUC of rows of one kind."""
    rows, scores_N = world(4, 300)
    with pytest.raises(NotFound, match=r"'topik'.*Did you mean 'topic'"):
        worst_slices(scores_N, rows, features=["topik"])
    with pytest.raises(UserError, match=r"measure has the value 'auk'.*'auc'"):
        worst_slices(scores_N, rows, measure="auk")  # type: ignore[arg-type]
    none = rows.take(np.flatnonzero(rows.y_N == 0))
    with pytest.raises(UserError, match="only one kind"):
        worst_slices(scores_N[: len(none)], none, measure="auc")
