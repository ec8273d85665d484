"""A table is scored part by part: the scores are the model's, and a killed run goes on where it was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.pipelines.components.small_training import trained_part

from orita.core.errors import UserError
from orita.models.package import Package, load_package
from orita.pipelines.components import bulk_inference
from orita.pipelines.components.bulk_inference import BulkInference, score_file
from orita.pipelines.components.cache import carry_out
from orita.pipelines.components.packager import package_folder
from orita.pipelines.components.task import artifacts_of
from orita.pipelines.components.training_rows import read_part
from orita.pipelines.graph import run_graph
from orita.pipelines.workspace import Workspace
from orita.testing.components import check_component


@dataclass
class Entry:
    """A registered model."""

    version: str
    package: Path


@pytest.fixture
def model(own: Workspace, monkeypatch: pytest.MonkeyPatch) -> Package:
    """The model that any version names."""
    folder = package_folder(own, artifacts_of(run_graph(trained_part(), own).results)["model.lightgbm"])

    class Registry:
        def get(self, system: str, version: str) -> Entry:
            return Entry("v1.1.0", folder)

    monkeypatch.setattr(Workspace, "catalogue", lambda _: Registry())
    return load_package(folder)


@pytest.fixture
def table(own: Workspace, tmp_path: Path) -> Path:
    """A folder of three files of rows to score."""
    (file,) = own.home.training_sets.glob("*/*/test.parquet")
    rows = pq.read_table(file)
    (tmp_path / "table").mkdir()
    for n, (start, length) in enumerate([(0, 10), (10, 20), (30, 0)]):
        pq.write_table(rows.slice(start, length), tmp_path / "table" / f"part-{n}.parquet")
    return tmp_path / "table"


def test_scores_are_the_models(own: Workspace, model: Package, table: Path) -> None:
    """Every row has the score that the model gives it, in the order of the rows, with what was asked to be kept."""
    step = carry_out(BulkInference("challenger", table, keep=("event_id",)), own, {})
    made = step.outputs["predictions"]
    assert made.facts == {"model": "v1.1.0", "rows": 30, "parts": 3}
    files = sorted(made.path(own.home).iterdir())
    assert [pq.read_metadata(file).num_rows for file in files] == [10, 20, 0]
    scored = pa.concat_tables(pq.read_table(file) for file in files)
    assert scored.column_names == ["user_id", "item_id", "event_id", "score", "model_version"]
    rows = read_part(own, artifacts_of(run_graph(trained_part(), own).results)["examples"], "test").take(slice(0, 30))
    expected_N = model.score(rows.users_N, rows.items_N, rows.x_NF)
    np.testing.assert_array_equal(scored["score"].to_numpy(), expected_N)
    np.testing.assert_array_equal(scored["user_id"].to_numpy(), rows.users_N)


def test_a_killed_run_goes_on(own: Workspace, model: Package, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that were scored are not scored again, and nothing of the work is left in the end."""
    scored: list[str] = []

    def killed_at_the_second(package: Package, source: Path, target: Path, **options: Any) -> int:
        if len(scored) == 1:
            scored.append("killed")
            raise KeyboardInterrupt
        scored.append(source.name)
        return score_file(package, source, target, **options)

    monkeypatch.setattr(bulk_inference, "score_file", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        carry_out(BulkInference("v1.1.0", table), own, {})
    assert carry_out(BulkInference("v1.1.0", table), own, {}).status == "success"
    assert scored == ["part-0.parquet", "killed", "part-1.parquet", "part-2.parquet"]
    assert carry_out(BulkInference("v1.1.0", table), own, {}).status == "cached"
    assert [path for path in own.home.checkpoints.rglob("*") if path.is_file()] == []


def test_long_tables_are_scored_in_blocks(
    own: Workspace, model: Package, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory holds one block, and blocks do not change a score."""
    score_file(model, table / "part-1.parquet", tmp_path / "whole.parquet")
    given: list[int] = []
    score = Package.score

    def watched(self: Package, users_N: Any, items_N: Any, x_NF: Any, *rest: Any) -> Any:
        given.append(len(x_NF))
        return score(self, users_N, items_N, x_NF, *rest)

    monkeypatch.setattr(bulk_inference, "_BLOCK_ROWS", 8)
    monkeypatch.setattr(Package, "score", watched)
    assert score_file(model, table / "part-1.parquet", tmp_path / "blocks.parquet") == 20
    assert given == [8, 8, 4]
    assert pq.read_table(tmp_path / "blocks.parquet").equals(pq.read_table(tmp_path / "whole.parquet"))


def test_what_cannot_be_scored_is_a_sentence(own: Workspace, model: Package, table: Path, tmp_path: Path) -> None:
    """A missing column, a missing id, a file that is none, and no file at all are told, and nothing is made."""
    rows = pq.read_table(table / "part-0.parquet")
    for name, broken, says in (
        ("column", rows.drop_columns(["item_ctr"]), "has no column 'item_ctr'"),
        (
            "id",
            rows.set_column(rows.column_names.index("user_id"), "user_id", pa.nulls(10, pa.int64())),
            "10 rows without",
        ),
    ):
        pq.write_table(broken, tmp_path / f"{name}.parquet")
        with pytest.raises(UserError, match=says):
            carry_out(BulkInference("v1.1.0", tmp_path / f"{name}.parquet"), own, {})
    (tmp_path / "text.parquet").write_text("no Parquet")
    with pytest.raises(UserError, match="is no Parquet file"):
        carry_out(BulkInference("v1.1.0", tmp_path / "text.parquet"), own, {})
    with pytest.raises(UserError, match="has no Parquet file to score"):
        carry_out(BulkInference("v1.1.0", tmp_path / "nowhere"), own, {})
    assert not list(own.home.components.glob("*/bulk_inference/*"))


def test_ids_are_known_however_they_are_written(model: Package, table: Path, tmp_path: Path) -> None:
    """Small or whole numbers with a point (as pandas writes them), texts and dictionaries give the same scores."""
    rows = pq.read_table(table / "part-1.parquet")
    score_file(model, table / "part-1.parquet", tmp_path / "plain.parquet")
    expected = pq.read_table(tmp_path / "plain.parquet")["score"]
    for type_ in (pa.float64(), pa.int32(), pa.string(), pa.dictionary(pa.int32(), pa.string())):
        ids = rows["item_id"].cast(pa.string()) if pa.types.is_dictionary(type_) else rows["item_id"]
        given = rows.set_column(rows.column_names.index("item_id"), "item_id", ids.cast(type_))
        pq.write_table(given, tmp_path / "given.parquet")
        score_file(model, tmp_path / "given.parquet", tmp_path / "scored.parquet")
        assert pq.read_table(tmp_path / "scored.parquet")["score"].equals(expected), type_


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("item_id", pa.array([100.5] * 10), "item_id as double: ids are whole numbers or texts"),
        ("user_id", pa.array([0] * 10, pa.timestamp("us")), "user_id as timestamp"),
        ("item_ctr", pa.array(["abc"] * 10), "'item_ctr' as string, and the model reads numbers"),
        ("item_ctr", pa.array([0] * 10, pa.timestamp("us")), "'item_ctr' as timestamp"),
    ],
)
def test_another_type_is_a_sentence(
    model: Package, table: Path, tmp_path: Path, column: str, values: pa.Array, says: str
) -> None:
    """An id that nobody has, or a feature that is no number, is refused instead of scored as somebody unknown."""
    rows = pq.read_table(table / "part-0.parquet")
    given = rows.set_column(rows.column_names.index(column), column, values)
    pq.write_table(given, tmp_path / "given.parquet")
    with pytest.raises(UserError, match=says):
        score_file(model, tmp_path / "given.parquet", tmp_path / "scored.parquet")


def test_damage_and_a_name_that_is_taken_are_sentences(model: Package, table: Path, tmp_path: Path) -> None:
    """A page that cannot be read names the file; a column that the output makes itself cannot be kept."""
    damaged = bytearray((table / "part-1.parquet").read_bytes())
    damaged[100:400] = bytes(300)
    (tmp_path / "damaged.parquet").write_bytes(damaged)
    with pytest.raises(UserError, match=r"damaged\.parquet is damaged"):
        score_file(model, tmp_path / "damaged.parquet", tmp_path / "scored.parquet")
    with pytest.raises(UserError, match="keep names 'score'"):
        score_file(model, table / "part-1.parquet", tmp_path / "scored.parquet", keep=("score",))


def test_it_passes_the_check(own: Workspace, model: Package, table: Path) -> None:
    """What is asked of a user's component is asked of this one."""
    check_component(lambda: BulkInference("v1.1.0", table), own)
