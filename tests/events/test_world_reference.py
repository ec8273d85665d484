"""The reference behind ``lift_share`` is strong, honest, and needs what it is given."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orita.events.world import WorldConfig, generate

_ROWS = 40_000


@pytest.fixture(scope="module")
def reference() -> Iterator[ModuleType]:
    """The benchmark's module, which lies outside the package."""
    file = Path(__file__).parents[2] / "benchmarks" / "reference.py"
    spec = importlib.util.spec_from_file_location("benchmark_reference", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated world."""
    folder = tmp_path_factory.mktemp("reference") / "world"
    generate(WorldConfig(num_users=500, num_items=1_500, num_interactions=_ROWS, topics=6, seed=2), folder)
    return folder


def _parts(folder: Path) -> tuple[pa.Table, pa.Table]:
    rows = pq.read_table(folder / "interactions.parquet")
    cut = int(_ROWS * 0.8)
    return rows.slice(0, cut), rows.slice(cut)


def test_it_comes_near_the_truth_and_not_past_it(reference: ModuleType, folder: Path) -> None:
    """Its AUC lies clearly above that of tastes alone, and below that of the true probabilities."""
    train, test = _parts(folder)
    p_N = pq.read_table(folder / "truth" / "click_probability.parquet")["p"].to_numpy()[train.num_rows :]
    click_N = test["click"].to_numpy().astype(np.float64)
    taste = np.stack(pq.read_table(folder / "truth" / "tastes.parquet")["taste"].to_pylist())
    topic_N = pq.read_table(folder / "items.parquet")["topic"].to_numpy()[test["item_id"].to_numpy()]
    alone = reference.auc(click_N, taste[test["user_id"].to_numpy(), topic_N])
    found = reference.reference_auc(folder, train, test)
    assert alone + 0.01 < found < reference.auc(click_N, p_N)


def test_it_does_not_look_at_the_test_labels_or_positions(reference: ModuleType, folder: Path) -> None:
    """Its scores are the same when the clicks and positions of the rows to score are turned around."""
    train, test = _parts(folder)
    train = train.slice(0, 8_000)
    turned = test.set_column(test.schema.get_field_index("click"), "click", pa.array(1 - test["click"].to_numpy()))
    turned = turned.set_column(turned.schema.get_field_index("position"), "position", pa.array([1] * test.num_rows))
    scores = [reference.reference_scores(folder, train, rows) for rows in (test, turned)]
    np.testing.assert_array_equal(*scores)


def test_auc_counts_ties_half(reference: ModuleType) -> None:
    """A score that says nothing has an AUC of one half, a perfect one 1, a tie among two counts half."""
    clicks_N = np.array([0.0, 1.0, 0.0, 1.0])
    assert reference.auc(clicks_N, np.zeros(4)) == 0.5
    assert reference.auc(clicks_N, clicks_N) == 1.0
    assert reference.auc(clicks_N, np.array([0.0, 1.0, 1.0, 2.0])) == 0.875
