"""The bench of outliers counts rows beyond the bounds, and tells how far out these are."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.outliers import PROBES, reach, share_beyond
from tests.benchmarks.running import last_line

from benchmarks import outliers
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.examples import Examples
from orita.models.training_bounds import TrainingBounds

SCHEMA = FeatureSchema((FeatureColumn("a", "item"), FeatureColumn("b", "item"), FeatureColumn("c", "item", "count")))
BOUNDS = TrainingBounds.from_dict(
    {"bounds": {"a": [0, 3], "b": [-4, 4], "c": [0, 90]}, "missing": [], "rows": 4},
    SCHEMA,
)


def test_the_last_line_has_every_figure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a tiny world, in which all probes are found."""
    found = last_line(outliers, monkeypatch, capsys, "--seeds", "5", "--interactions", "5000")
    assert set(found) == {"train", "val", "test", "other_users", "reach", "reach_of_counts", "probes_found"}
    assert found["train"] <= 0.001
    assert 0 < found["reach"] < 20
    assert found["probes_found"] == 1
    assert len(set(PROBES)) == len(PROBES)


def test_shares_and_reach_of_known_rows() -> None:
    """One of two rows is beyond by both features and counts once; the farthest bound is twice the distance out."""
    x_NF = np.array([[0, -1, 0], [1, 1, 9]], np.float32)
    assert share_beyond(BOUNDS, x_NF) == 0
    assert share_beyond(BOUNDS, np.array([[4, 5, 0], [1, 1, 9]], np.float32)) == 0.5
    two_N = np.zeros(2, np.int64)
    rows = Examples(SCHEMA, two_N, two_N, x_NF, two_N.astype(np.float32), two_N)
    assert reach(BOUNDS, rows, counts=False) == 2
    assert reach(BOUNDS, rows, counts=True) == 9
