"""The bounds of the feed's training rows are near them: what cannot be is beyond, and few of the rows that come are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest

from orita.features.training_sets.training_set import latest_training_set
from orita.models.examples import Examples
from orita.models.reading import read_examples
from orita.models.training_bounds import QUANTILE, TrainingBounds
from orita.pipelines.etl import etl_graph
from orita.pipelines.graph import run_graph
from orita.project import open_project

WORLD = ("num_users=6000", "num_items=8000", "num_interactions=40000")
YEAR_9999_DAYS = 2.9e6

Parts = Mapping[str, Examples]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """Training rows of a small world with the features that the feed ships, and the rows that came later."""
    home = tmp_path_factory.mktemp("feed")
    overrides = [f"data_generation.{setting}" for setting in WORLD]
    workspace = open_project(home, home=home, system="feed", overrides=overrides).workspace()
    run_graph(etl_graph(workspace), workspace)
    made = latest_training_set(workspace.home.training_sets, workspace.system.name)
    return {part: read_examples(made.file(part), made.schema) for part in ("train", "val", "test")}


@pytest.fixture(scope="module")
def bounds(parts: Parts) -> TrainingBounds:
    """The bounds of the training rows."""
    return TrainingBounds.of(parts["train"].schema, parts["train"].x_NF)


def test_every_feature_is_bounded_near_its_training_rows(parts: Parts, bounds: TrainingBounds) -> None:
    """Though one decays, and is hardly ever above 0: no farther than its rows are apart, of counts ten times that."""
    x_NF = parts["train"].x_NF
    recency_N = x_NF[:, bounds.names.index("recency_score")]
    assert np.quantile(recency_N, 0.99) < 1e-6 < recency_N.max()
    least_F, greatest_F = np.nanmin(x_NF, axis=0), np.nanmax(x_NF, axis=0)
    counts_F = np.array([column.kind == "count" for column in parts["train"].schema.columns])
    apart_F = (greatest_F - least_F) * np.where(counts_F, 10, 1)
    assert [*np.compress(bounds.least_F < least_F - apart_F, bounds.names)] == []
    assert [*np.compress(bounds.greatest_F > greatest_F + apart_F, bounds.names)] == []


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_at_most_one_row_in_a_thousand_is_beyond(parts: Parts, bounds: TrainingBounds, part: str) -> None:
    """Of the training rows, and of the rows of the weeks after them, in which ages and counts have grown."""
    outside_NF = bounds.outside(parts[part].x_NF)
    assert outside_NF is None or outside_NF.any(axis=1).mean() <= 1 - QUANTILE


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        *(("item_ctr", 1.7), ("item_ctr", -0.5), ("item_ctr", 1e9), ("user_historical_ctr", 17.0)),
        *(("item_age_days", -1e6), ("item_age_days", YEAR_9999_DAYS), ("item_avg_dwell_time", 13_000.0)),
        *(("recency_score", -1.0), ("recency_score", 3.0), ("user_interaction_count", 1e6)),
        *(("item_popularity", -1.0), ("hour_of_day", 24.0), ("device_mobile", 2.0)),
    ],
)
def test_what_cannot_be_is_found(parts: Parts, bounds: TrainingBounds, feature: str, value: float) -> None:
    """A probe, a broken clock, a unit that changed: that feature is the reason, and no other."""
    row_1F: npt.NDArray[np.float32] = parts["train"].x_NF[:1].copy()
    assert bounds.outside(row_1F) is None
    row_1F[0, bounds.names.index(feature)] = value
    outside_1F = bounds.outside(row_1F)
    assert outside_1F is not None
    assert np.compress(outside_1F[0], bounds.names).tolist() == [feature]
