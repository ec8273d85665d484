"""What scores are held against are rows that the model was trained on, the same at each call."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from orita.core.home import Home
from orita.explain.reference_rows import reference_rows
from orita.features.training_sets.training_set import latest_training_set
from orita.models.package import Package
from orita.models.reading import read_examples
from orita.pipelines.workspace import Workspace

Served = tuple[Workspace, Package]


def test_rows_of_the_training_set(served: Served) -> None:
    """They are rows of its training part, ids and features together, none twice, the same for the same seed."""
    workspace, package = served
    made = latest_training_set(workspace.home.training_sets, "small")
    every = read_examples(made.file("train"), package.schema)
    found = reference_rows(workspace.home, "small", package, 100)
    assert found.source == f"100 training rows of {made.id}"
    there = {_key(every.users_N, every.items_N, every.x_NF, n) for n in range(len(every))}
    keys = [_key(found.rows.users_N, found.rows.items_N, found.rows.x_NF, n) for n in range(100)]
    assert set(keys) <= there
    again, other = (reference_rows(workspace.home, "small", package, 100, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(found.rows.x_NF, again.rows.x_NF)
    assert not np.array_equal(found.rows.users_N, other.rows.users_N)
    assert len(reference_rows(workspace.home, "small", package, 10**6).rows) == len(every)


def test_a_long_file_is_read_in_part(served: Served, tmp_path: Path) -> None:
    """Of a file of many row groups some are read, which lie evenly from its first rows to its last."""
    workspace, package = served
    home = Home(tmp_path)
    shutil.copytree(workspace.home.training_sets, home.training_sets)
    file = latest_training_set(home.training_sets, "small").file("train")
    table = pq.read_table(file)
    pq.write_table(table, file, row_group_size=5)
    found = reference_rows(home, "small", package, 10**6).rows
    assert len(found) <= 16 * 5 < len(table)
    ends = table["user_id"].to_pylist()
    assert (found.users_N[0], found.users_N[-1]) == (ends[0], ends[-1])


def test_no_training_set(served: Served) -> None:
    """Where the home has no such set the package's sample stands in, and that is told."""
    workspace, package = served
    sample = reference_rows(workspace.home, "other", package)
    assert "sample rows of the package: its training set is not at hand" in sample.source
    assert 0 < len(sample.rows) <= 64


def _key(
    users_N: npt.NDArray[Any], items_N: npt.NDArray[Any], x_NF: npt.NDArray[np.float32], n: int
) -> tuple[object, object, bytes]:
    return users_N[n], items_N[n], x_NF[n].tobytes()
