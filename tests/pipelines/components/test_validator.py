"""Training rows that cannot be trained on stop a training; what is unusual is told, beside what was expected."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.pipelines.components.small_training import run_training, trained_part, with_keys

from orita.control.deployments import Deployments
from orita.core.errors import UserError
from orita.events.engine import open_engine
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.pipelines.components import column_statistics
from orita.pipelines.components.anomalies import Anomaly, against_earlier, between_parts, untrainable
from orita.pipelines.components.column_statistics import PartStatistics, part_statistics
from orita.pipelines.components.expectations import inferred
from orita.pipelines.components.validation_config import ExpectationsSection
from orita.pipelines.graph import run_graph
from orita.pipelines.references import kept_schema
from orita.pipelines.workspace import Workspace

SCHEMA = FeatureSchema(
    (
        FeatureColumn("rate", "item"),
        FeatureColumn("device", "context", "category", 3),
        FeatureColumn("n", "user", "count"),
    )
)
LIMITS = ExpectationsSection()
NAMES = ["user_id", "target", "rate", "device", "n"]


def part(folder: Path, name: str = "train", **columns: Any) -> PartStatistics:
    """Return the statistics of 200 rows; *columns* replace those of a sound part."""
    rng = np.random.default_rng(0)
    sound: dict[str, Any] = {
        "event_id": [f"e{n}" for n in range(200)],
        "user_id": rng.integers(0, 20, 200),
        "target": rng.integers(0, 2, 200).astype(np.int8),
        "rate": rng.random(200).astype(np.float32),
        "device": rng.integers(0, 2, 200).astype(np.int8),
        "n": rng.integers(0, 50, 200),
    }
    table = pa.table({k: v for k, v in (sound | columns).items() if v is not None})
    pq.write_table(table, folder / f"{name}.parquet")
    with open_engine(folder, 128) as connection:
        return part_statistics(connection, folder / f"{name}.parquet", NAMES, ["device", "target"])


def found(parts: dict[str, PartStatistics]) -> list[Anomaly]:
    """Return the anomalies between parts."""
    return [*untrainable(parts), *between_parts(parts, inferred(parts["train"], SCHEMA), LIMITS)]


def test_statistics_are_those_of_the_values(tmp_path: Path) -> None:
    """Counts, range, mean, deviation and quantiles are NumPy's of the finite values; frequent values come first."""
    rate_N = np.random.default_rng(1).normal(size=200)
    rate_N[:5], rate_N[5:7] = np.nan, [np.inf, -np.inf]
    users = pa.array([None, *(f"u{n % 7}" for n in range(199))])
    told = part(tmp_path, rate=pa.array(rate_N, from_pandas=False), user_id=users, device=[0] * 150 + [2] * 50)
    finite_N = rate_N[np.isfinite(rate_N)]
    rate = told.columns["rate"]
    assert (told.rows, rate.missing, rate.infinite, rate.type) == (200, 5, 2, "DOUBLE")
    summary = np.array([rate.minimum, rate.maximum, rate.mean, rate.std], np.float64)
    np.testing.assert_allclose(summary, (finite_N.min(), finite_N.max(), finite_N.mean(), finite_N.std()), rtol=1e-8)
    np.testing.assert_allclose(rate.quantiles, np.quantile(finite_N, (0.01, 0.25, 0.5, 0.75, 0.99)), rtol=1e-8)
    assert (told.columns["device"].top, told.columns["device"].whole) == ((("0", 150), ("2", 50)), True)
    user = told.columns["user_id"]
    assert (user.type, user.missing, user.minimum, user.quantiles) == ("VARCHAR", 1, None, ())
    assert user.top[0] == ("u0", 29)
    assert PartStatistics.from_dict(json.loads(json.dumps(told.to_dict()))) == told


def test_what_is_no_number_is_no_value(tmp_path: Path) -> None:
    """It counts as missing, and so is neither among the frequent values nor a new one of a category."""
    some = part(tmp_path, device=np.array([0.0, 1.0] * 100, np.float32))
    other = part(tmp_path, device=np.array([0.0] * 190 + [np.nan] * 10, np.float32))
    device = other.columns["device"]
    assert (device.missing, device.top, device.whole) == (10, (("0.0", 190),), True)
    assert found({"train": some, "val": other, "test": some}) == []


@pytest.mark.parametrize("judged", ["val", "test"])
def test_one_label_where_models_are_judged_is_told(tmp_path: Path, judged: str) -> None:
    """Without an AUC on validation rows the first type would be chosen, and nobody would know why."""
    sound, one = part(tmp_path), part(tmp_path, target=np.zeros(200, np.int8))
    (anomaly,) = found({"train": sound, "val": sound, "test": sound, judged: one})
    assert (anomaly.severity, anomaly.column, anomaly.where) == ("warning", "target", judged)
    assert "every row has the label 0: there is no AUC" in anomaly.sentence


def test_quantiles_of_many_rows_are_of_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the same twice, and near those of all rows; the other figures are over all rows."""
    monkeypatch.setattr(column_statistics, "_SAMPLED_ROWS", 2_000)
    values_N = np.arange(20_000, dtype=np.float64)
    table = pa.table({"event_id": [f"e{n}" for n in range(20_000)], "rate": values_N})
    pq.write_table(table, tmp_path / "many.parquet")
    with open_engine(tmp_path, 128) as connection:
        told = [part_statistics(connection, tmp_path / "many.parquet", ["rate"], []) for _ in range(2)]
    assert told[0] == told[1]
    rate = told[0].columns["rate"]
    assert (rate.minimum, rate.maximum, rate.missing) == (0, 19_999, 0)
    assert all(abs(q / 20_000 - at) < 0.05 for q, at in zip(rate.quantiles, (0.01, 0.25, 0.5, 0.75, 0.99), strict=True))


def test_sound_rows_are_not_remarked_on(tmp_path: Path) -> None:
    """Three parts of one nature have no anomaly."""
    sound = part(tmp_path)
    assert found({"train": sound, "val": sound, "test": sound}) == []


@pytest.mark.parametrize(
    ("columns", "severity", "column", "says"),
    [
        ({"device": np.array([0, 1, 2, 3] * 50, np.int8)}, "warning", "device", "'2', '3' in 50.0% of rows"),
        ({"rate": np.array([np.nan] * 40 + [0.5] * 160, np.float32)}, "warning", "rate", "20.0% of rows have no value"),
        ({"n": np.arange(200) * 3}, "warning", "n", "values go from 0 to 597, expected 0 to 49"),
        ({"n": np.arange(200, dtype=np.float64) % 50}, "error", "n", "it is DOUBLE, and BIGINT in the training part"),
        ({"rate": None}, "error", "rate", "the column is not there"),
    ],
)
def test_what_parts_have_apart_is_told(
    tmp_path: Path, columns: dict[str, Any], severity: str, column: str, says: str
) -> None:
    """A new value, missing values, a range far outside, another type, a vanished column: each is one finding."""
    sound, other = part(tmp_path), part(tmp_path, "val", **columns)
    (told,) = found({"train": sound, "val": other, "test": sound})
    assert (told.severity, told.column, told.where) == (severity, column, "val")
    assert says in told.sentence


@pytest.mark.parametrize(
    ("columns", "severity", "says"),
    [
        ({"target": np.zeros(200, np.int8)}, "error", "every row has the label 0"),
        ({"target": pa.array([None] * 3 + [0, 1] * 98 + [1], pa.int8())}, "error", "3 rows have no label"),
        ({"rate": np.full(200, np.nan, np.float32)}, "info", "no row has a value"),
        ({"rate": np.full(200, 0.5, np.float32)}, "info", "every row has the same value"),
        ({"rate": np.array([np.inf] + [0.5, 0.6, 0.7] * 66 + [0.5], np.float32)}, "warning", "1 values are infinite"),
    ],
)
def test_what_cannot_be_learned_from_is_told(tmp_path: Path, columns: dict[str, Any], severity: str, says: str) -> None:
    """One label, no label, and columns that say nothing."""
    sound, odd = part(tmp_path), part(tmp_path, **columns)
    told = list(untrainable({"train": odd, "val": sound, "test": sound}))
    assert [(each.severity, says in each.sentence) for each in told] == [(severity, True)]
    empty = replace(odd, rows=0, columns={})
    assert "there are no rows" in next(untrainable({"train": odd, "val": empty, "test": odd})).sentence


def test_what_changed_since_the_champion_is_told(tmp_path: Path) -> None:
    """Vanished and new columns, types, domains and missing rates are compared with those of the champion's rows."""
    before = inferred(part(tmp_path), SCHEMA)
    changed = part(tmp_path, device=np.array([0, 2] * 100, np.int8), rate=pa.array([None] * 100 + [0.5] * 100))
    kinds = (replace(SCHEMA.columns[0], kind="count"), SCHEMA.columns[1])
    now = inferred(
        replace(changed, columns={k: v for k, v in changed.columns.items() if k != "n"}), FeatureSchema(kinds)
    )
    told = {(each.severity, each.column): each for each in against_earlier(now, before, "champion v1.1.0", LIMITS)}
    assert {each.where for each in told.values()} == {"champion v1.1.0"}
    assert "has vanished" in told["warning", "n"].sentence
    assert "new values: '2'" in told["warning", "device"].sentence
    assert "gone: '1'" in told["info", "device"].sentence
    back = list(against_earlier(before, {k: v for k, v in before.items() if k != "rate"}, "champion", LIMITS))
    assert [(each.severity, each.column) for each in back] == [("info", "rate")]
    rate = [each.sentence for each in against_earlier(now, before, "champion", LIMITS) if each.column == "rate"]
    assert "it is DOUBLE (count) now, and was FLOAT (number)" in rate[0]
    assert "50.0% of rows have no value, 0.0% had none" in rate[1]


def test_severity_decides_whether_a_training_stops(own: Workspace) -> None:
    """By default warnings are told and training goes on; the configuration may stop on them, or on nothing."""
    strict = with_keys(own, data__expectations__stop_on="warning")
    assert run_training(strict)["validator"] == "success", "there is nothing to warn of"
    _champion_with(own, lambda columns: columns.update(gone=columns["hour"]))
    with pytest.raises(UserError, match=r"expectations.stop_on is 'warning'\): gone \(champion v1.1.0\): the column"):
        run_training(strict)
    report = run_graph(trained_part(), own)
    (told,) = [each for each in report.results["load_features"]["anomalies"] if each["severity"] == "warning"]
    assert (told["column"], told["where"]) == ("gone", "champion v1.1.0")
    assert run_training(with_keys(own, data__expectations__stop_on="never"))["validator"] == "success"


def test_a_champion_of_the_same_rows_is_no_reason(own: Workspace) -> None:
    """A model that was trained on these rows and then promoted does not make the next run validate again."""
    _champion_with(own, lambda _: None)
    assert run_training(own)["validator"] == "cached"
    _champion_with(own, lambda columns: columns.pop("hour"))
    assert run_training(own)["validator"] == "success"
    assert run_training(own)["validator"] == "cached"


def _champion_with(workspace: Workspace, change: Callable[[dict[str, Any]], object]) -> None:
    """Let v1.1.0 serve, trained on rows whose schema is that of the rows there are after *change*."""
    (made,) = (workspace.home.components / workspace.system.name / "schema").glob("*/schema.json")
    content = json.loads(made.read_text())
    change(content["columns"])
    file = kept_schema(workspace, "v1.1.0")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1))
    deployments = Deployments(workspace.home.control_db)
    deployments.deploy(workspace.system.name, "v1.1.0", actor="ada", reason="a test")
