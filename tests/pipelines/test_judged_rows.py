"""Models of earlier feature versions are judged on the rows of now, with the features that they were trained on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.pipelines.two_versions import changed_home, latest

from orita.core.errors import NotFound, UserError
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.examples import Examples
from orita.pipelines import comparison
from orita.pipelines.comparison import compare_versions, refuse_other_features
from orita.pipelines.judged_rows import judged_rows
from orita.pipelines.workspace import Workspace

Changed = tuple[Workspace, FeatureSchema, Examples]


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Changed:
    """A home whose declarations have changed; it is only read."""
    return changed_home(tmp_path_factory.mktemp("changed"))


def test_earlier_versions_are_computed_for_the_rows_of_now(changed: Changed) -> None:
    """Features that have changed, are not declared any more or not selected have the values of then, row by row.

    What came into the tables after the training set was made is not seen.
    """
    workspace, schema, expected = changed
    found = judged_rows(workspace, latest(workspace), "test", schema, "model v1.0.0")
    np.testing.assert_array_equal(found.x_NF, expected.x_NF)
    assert len(found) > 20 and not np.isnan(found.x_NF[:, schema.index("recent")]).any()
    for name in ("users_N", "items_N", "y_N", "time_N"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    now = judged_rows(workspace, latest(workspace), "test", latest(workspace).schema, "model v1.1.0")
    at = latest(workspace).schema.index("item_ctr")
    assert not np.array_equal(now.x_NF[:, at], expected.x_NF[:, schema.index("item_ctr")], equal_nan=True)


@dataclass
class Entry:
    """A registered model."""

    version: str
    package: Path = Path("unused")


@dataclass
class Scorer:
    """A package that remembers what it was given."""

    schema: FeatureSchema
    metadata: Any
    extra: dict[str, str] = field(default_factory=dict)
    given: Any = None
    label_objective: None = None

    def score(self, users_N: Any, items_N: Any, x_NF: Any, objective: None = None) -> Any:
        """Return scores that grow with the first feature."""
        self.given = x_NF
        return 1 / (1 + np.exp(-np.nan_to_num(x_NF[:, 0])))


@dataclass
class Card:
    """The part of a model's card that says what it was trained on."""

    training_data_date_range: dict[str, str]


def test_a_champion_of_earlier_features_and_a_new_model_are_compared(
    changed: Changed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is given its own features of the same rows; nothing is refused."""
    workspace, schema, expected = changed
    card = Card({"start": "2024-01-01T00:00:00Z", "end": "2024-02-01T00:00:00Z"})
    scorers = [Scorer(latest(workspace).schema, card), Scorer(schema, card)]
    queue = iter(scorers)
    monkeypatch.setattr(comparison, "load_package", lambda _: next(queue))
    refuse_other_features(workspace, "v1.0.0", schema)
    duel = compare_versions(workspace, Entry("v1.1.0"), Entry("v1.0.0"))  # type: ignore[arg-type]
    assert duel.rows == len(expected) == len(scorers[0].given)
    np.testing.assert_array_equal(scorers[1].given, expected.x_NF)
    assert scorers[0].given.shape[1] == 5


def test_what_was_not_kept_is_refused(changed: Changed) -> None:
    """A version that the registry does not have is a sentence that says what reads it, and what to do."""
    workspace, schema, _ = changed
    other = FeatureSchema((replace(schema.columns[1], meaning="0" * 12),))
    with pytest.raises(UserError, match=r"model v1\.0\.0 was trained on another declaration of feature 'item_ctr'"):
        judged_rows(workspace, latest(workspace), "test", other, "model v1.0.0")
    with pytest.raises(NotFound, match="'gone', which system 'small' does not declare"):
        gone = FeatureSchema((FeatureColumn("gone", "user"),))
        judged_rows(workspace, latest(workspace), "test", gone, "model v1.0.0")


def test_tables_and_events_that_are_gone_are_told(changed: Changed, tmp_path: Path) -> None:
    """Where the tables of the set, or events of its rows, are no more, nothing is computed from others."""
    workspace, schema, _ = changed
    made = latest(workspace)
    with pytest.raises(NotFound, match=r"model v1\.0\.0 reads cannot be computed for training set .*run etl"):
        judged_rows(workspace, replace(made, tables={"interactions": 99}), "test", schema, "model v1.0.0")
    rows = pq.read_table(made.file("test"))
    ids = pa.array(["unknown", None, *rows["event_id"].to_pylist()[2:]], rows["event_id"].type)
    pq.write_table(rows.set_column(0, "event_id", ids), tmp_path / "test.parquet")
    with pytest.raises(UserError, match=r"2 rows of training set .* the lake does not have"):
        judged_rows(workspace, replace(made, folder=tmp_path), "test", schema, "model v1.0.0")
