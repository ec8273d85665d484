"""The bench of newcomers learns from none of them, and its last line is JSON whatever the slices hold."""

from __future__ import annotations

import json

import numpy as np
import pytest
from benchmarks.cold_start import _SLICES, _summary, hold_out

from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.examples import Examples

SCHEMA = FeatureSchema((FeatureColumn("user_interaction_count", "user"), FeatureColumn("item_popularity", "item")))


def _part(seed: int, users: int = 40) -> Examples:
    random, rows = np.random.default_rng(seed), 600
    ids = random.integers(0, users, rows), random.integers(0, 60, rows)
    y_N = (random.random(rows) < 0.3).astype(np.float32)
    return Examples(SCHEMA, *ids, random.integers(0, 30, (rows, 2)).astype(np.float32), y_N, np.arange(rows))


@pytest.mark.parametrize("judged", ["val", "test"])
def test_held_out_users_and_items_train_nothing_and_stop_nothing(judged: str) -> None:
    """A tenth of users and of items are in no row that trains or stops; the judged rows are all there, each once."""
    parts = {"train": _part(0), "val": _part(1), "test": _part(2, users=50)}
    case = hold_out(parts, judged, seed=3)
    for name, least in (("users_N", 5), ("items_N", 6)):
        known = np.union1d(*(np.unique(getattr(rows, name)) for rows in (case.train, case.val)))
        everyone = np.unique(np.concatenate([getattr(rows, name) for rows in parts.values()]))
        assert len(np.setdiff1d(everyone, known)) >= least
        cold = case.slices["cold user" if name == "users_N" else "cold item"]
        assert not np.isin(getattr(case.judged, name)[cold], getattr(case.train, name)).any()
    assert case.judged is parts[judged]
    four = np.concatenate([case.slices[name] for name in _SLICES[:4]])
    assert np.array_equal(np.sort(four), np.arange(len(case.judged)))


def test_a_slice_without_an_auc_is_null_in_the_last_line() -> None:
    """A slice of no rows, or of one kind, has no AUC; the last line stays JSON that any program reads."""
    means = {"two_tower": {"warm": {"auc": 0.71}, "both cold": {"auc": float("nan")}}}
    told = json.loads(json.dumps(_summary(means, "two_tower"), allow_nan=False))
    assert told == {"type": "two_tower", "warm_auc": 0.71, "both_cold_auc": None}
