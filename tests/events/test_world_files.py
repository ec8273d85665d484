"""What generate writes: the same bytes, in three formats, whole or not at all, the truth apart."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from orita.core.errors import NotFound, UserError
from orita.events.world import World, WorldConfig, generate, load_world
from orita.events.world import generation as generation_module

SMALL = WorldConfig(num_users=10, num_items=20, num_interactions=100, seed=7)
MIDDLE = WorldConfig(num_users=300, num_items=900, num_interactions=20_000, seed=7)


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _generate_elsewhere(config: WorldConfig, folder: Path, form: str) -> None:
    code = (
        "import sys; from pathlib import Path; from orita.events.world import WorldConfig, generate;"
        "generate(WorldConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]), format=sys.argv[3])"
    )
    subprocess.run([sys.executable, "-c", code, config.model_dump_json(), str(folder), form], check=True, timeout=60)


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_same_configuration_same_bytes(tmp_path: Path, form: str) -> None:
    """The same configuration gives the same bytes of every file, also in another process."""
    generate(MIDDLE, tmp_path / "here", format=form)
    _generate_elsewhere(MIDDLE, tmp_path / "there", form)
    assert _digests(tmp_path / "here") == _digests(tmp_path / "there")


def test_another_seed_another_history(tmp_path: Path) -> None:
    """Another seed gives other interactions, users and items."""
    generate(SMALL, tmp_path / "a")
    generate(SMALL.model_copy(update={"seed": 8}), tmp_path / "b")
    a, b = _digests(tmp_path / "a"), _digests(tmp_path / "b")
    assert a.keys() == b.keys()
    assert all(a[name] != b[name] for name in a)


def test_formats_hold_the_same_rows(tmp_path: Path) -> None:
    """Parquet, CSV and JSON lines hold the same values."""
    tables = []
    for form in ("parquet", "csv", "jsonl"):
        made = generate(MIDDLE, tmp_path / form, format=form)
        assert sorted(file.name for file in (tmp_path / form).iterdir()) == sorted(
            [f"interactions.{form}", f"users.{form}", f"items.{form}", "truth"]
        )
        assert made.rows == 20_000
        path = made.paths["interactions"]
        if form == "parquet":
            tables.append(pq.read_table(path).to_pylist())
        elif form == "csv":
            texts = pyarrow.csv.ConvertOptions(column_types={"timestamp": pa.string()})
            tables.append(pyarrow.csv.read_csv(path, convert_options=texts).to_pylist())
        else:
            tables.append([json.loads(line) for line in path.read_text().splitlines()])
    assert tables[0] == tables[1] == tables[2]


def test_truth_lies_beside_the_inputs(tmp_path: Path) -> None:
    """The true probability of every row is under truth/, in the order of the rows, and nowhere among the inputs."""
    made = generate(MIDDLE, tmp_path / "world")
    truth = pq.read_table(made.paths["truth"] / "click_probability.parquet")
    rows = pq.read_table(made.paths["interactions"])
    assert truth["interaction_id"].equals(rows["interaction_id"])
    p_N, click_N = truth["p"].to_numpy(), rows["click"].to_numpy()
    assert 0 < p_N.min() < p_N.max() < 1
    assert abs(p_N.mean() - click_N.mean()) < 4 * (p_N * (1 - p_N)).mean() ** 0.5 / len(p_N) ** 0.5
    assert "p" not in rows.schema.names
    tastes = pq.read_table(made.paths["truth"] / "tastes.parquet")
    assert tastes.schema.names == ["user_id", "leaning", "taste", "style"]
    assert len(tastes["taste"][0]) == MIDDLE.topics


def test_probabilities_can_be_recomputed(tmp_path: Path) -> None:
    """The world that wrote a folder can be loaded from it, and gives the probabilities that were written."""
    made = generate(MIDDLE, tmp_path / "world")
    world = load_world(tmp_path / "world")
    rows = pq.read_table(made.paths["interactions"])
    stamps = rows["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    devices = pa.compute.index_in(rows["device"], pa.array(["mobile", "desktop", "tablet"])).to_numpy()
    positions = rows["position"].to_numpy()
    p_N = world.click_probability(rows["user_id"].to_numpy(), rows["item_id"].to_numpy(), stamps, devices, positions)
    written_N = pq.read_table(made.paths["truth"] / "click_probability.parquet")["p"].to_numpy()
    assert abs(p_N - written_N).max() < 1e-6


def test_a_failed_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that fails half-way leaves an earlier folder as it was, and no partial one."""
    generate(SMALL, tmp_path / "world")
    before = _digests(tmp_path / "world")

    def broken(world: World, folder: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(generation_module, "_write_truth", broken)
    with pytest.raises(OSError, match="disk full"):
        generate(SMALL.model_copy(update={"seed": 8}), tmp_path / "world")
    assert _digests(tmp_path / "world") == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["world"]


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    """A format that does not exist is refused before anything is written, and the sentence names those that do."""
    with pytest.raises(UserError, match="parquet, csv, jsonl"):
        generate(SMALL, tmp_path / "world", format="xml")
    assert list(tmp_path.iterdir()) == []


def test_other_peoples_folders_are_left_alone(tmp_path: Path) -> None:
    """A folder that holds anything but a generated world is not replaced, nor is a file; an empty folder is."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "final.tex").write_text("precious")
    for taken in (tmp_path / "thesis", tmp_path / "thesis" / "final.tex"):
        with pytest.raises(UserError, match="not replaced"):
            generate(SMALL, taken)
    assert (tmp_path / "thesis" / "final.tex").read_text() == "precious"
    (tmp_path / "empty").mkdir()
    assert generate(SMALL, tmp_path / "empty").rows == 100


def test_a_folder_that_is_no_world_is_refused(tmp_path: Path) -> None:
    """Loading a world from another folder says what is missing."""
    with pytest.raises(NotFound, match=r"truth/world\.json"):
        load_world(tmp_path)
