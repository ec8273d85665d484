"""``orita tables`` and ``orita training-sets``: what there is and was, kept in shape, made again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.cli.small_world import SETTINGS
from typer.testing import CliRunner

import orita.cli.tables
import orita.cli.training_sets  # noqa: F401  both register their commands
from orita.cli.app import app
from orita.core.errors import OritaError, UserError
from orita.core.home import Home
from orita.events.lake import Lake


def run_orita(folder: Path, *arguments: str) -> str:
    """Run a command on the project in *folder* within this process, and return what it printed."""
    options = ["--quiet", "--project", str(folder), "--home", str(folder / ".orita"), *SETTINGS]
    done = CliRunner().invoke(app, [*options, *arguments], catch_exceptions=True)
    if done.exception is not None:
        raise done.exception
    return done.stdout


def orita_json(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a command with ``--json`` and return its result."""
    found: dict[str, Any] = json.loads(run_orita(folder, *arguments, "--json").splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def etl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the ETL ran, and some later events came in small commits."""
    from orita.pipelines.etl import etl_graph
    from orita.pipelines.graph import run_graph
    from orita.project import open_project

    folder = tmp_path_factory.mktemp("etl")
    overrides = [item for item in SETTINGS if item != "--set"]
    workspace = open_project(folder, home=folder / ".orita", overrides=overrides).workspace()
    run_graph(etl_graph(workspace), workspace)
    lake = Lake(Home(folder / ".orita"))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for number in range(3):
            later = connection.sql(
                f"SELECT * REPLACE ('{number}-' || interaction_id AS interaction_id) "
                f"FROM {lake.snapshot('interactions').sql} ORDER BY timestamp DESC LIMIT 50"
            )
            lake.append("interactions", later.to_arrow_reader(), {"source": "log/[x]"}, time="timestamp")
    return folder


@pytest.fixture
def folder(etl: Path, tmp_path: Path) -> Path:
    """The same, for one test to change."""
    return Path(shutil.copytree(etl, tmp_path / "mine"))


def test_tables_are_listed_and_shown(etl: Path) -> None:
    """A list has every table; one table shows its columns and where it comes from, as it is or as it was."""
    listed = {t["table"]: t for t in orita_json(etl, "tables", "list")["tables"]}
    assert {name: t["rows"] for name, t in listed.items()} == {"interactions": 20_150, "items": 400, "users": 300}
    shown = orita_json(etl, "tables", "show", "interactions")
    assert (shown["version"], shown["rows"], shown["offsets"]) == (3, 20_150, {})
    assert shown["columns"]["click"] == "int8"
    assert shown["origin"]["system"] == "feed"
    earlier = orita_json(etl, "tables", "show", "interactions", "--version", "0")
    assert (earlier["version"], earlier["rows"]) == (0, 20_000)
    at = orita_json(etl, "tables", "history", "interactions")["versions"][1]["at"]
    assert orita_json(etl, "tables", "show", "interactions", "--at", at)["version"] == 2
    assert "timestamp[us, tz=UTC]" in run_orita(etl, "tables", "show", "interactions")
    assert "interactions" in run_orita(etl, "tables", "list")


def test_history_names_training_sets(etl: Path) -> None:
    """Each version says what it came from, whether it can be read, and which training sets were made from it."""
    (name,) = (each["id"] for each in orita_json(etl, "training-sets", "list")["training_sets"])
    versions = orita_json(etl, "tables", "history", "interactions")["versions"]
    assert [(v["version"], v["rows"], v["readable"]) for v in versions] == [
        (3, 50, True),
        (2, 50, True),
        (1, 50, True),
        (0, 20_000, True),
    ]
    assert [v["training_sets"] for v in versions] == [[], [], [], [f"feed/{name}"]]
    assert len(orita_json(etl, "tables", "history", "interactions", "--limit", "2")["versions"]) == 2
    assert "log/[x]" in run_orita(etl, "tables", "history", "interactions")


def test_compact_vacuum_and_make_again(folder: Path) -> None:
    """Compacted and vacuumed, the table has its rows, the training set can be made again, until force takes that."""
    compacted = orita_json(folder, "tables", "compact")["tables"]
    assert compacted["interactions"]["files_after"] < compacted["interactions"]["files_before"]
    assert compacted["users"]["files_after"] == 1
    vacuumed = orita_json(folder, "tables", "vacuum", "--days", "0")["tables"]["interactions"]
    assert vacuumed["files"] > 0
    assert list(vacuumed["kept"]) == ["0"]
    readable = {
        v["version"]: v["readable"] for v in orita_json(folder, "tables", "history", "interactions")["versions"]
    }
    assert readable == {4: True, 3: False, 2: False, 1: False, 0: True}
    assert "stays for feed/" in run_orita(folder, "tables", "vacuum", "interactions", "--days", "0")
    again = orita_json(folder, "training-sets", "reproduce", "--to", str(folder / "again"))
    assert again["equal"]
    assert sum(again["rows"].values()) == 20_000
    assert len(list((folder / "again").glob("*.parquet"))) == 3
    assert orita_json(folder, "tables", "vacuum", "interactions", "--days", "0", "--force")["tables"]["interactions"][
        "files"
    ]
    with pytest.raises(UserError, match="version 0 of table 'interactions' was vacuumed"):
        run_orita(folder, "training-sets", "reproduce")
    assert orita_json(folder, "tables", "show", "interactions")["rows"] == 20_150


def test_training_sets_are_listed_and_shown(etl: Path) -> None:
    """A training set is found by its id, the first letters of it, or as the latest."""
    (listed,) = orita_json(etl, "training-sets", "list")["training_sets"]
    assert (listed["rows"], listed["files"], listed["tables"]["interactions"]) == (20_000, True, 0)
    shown = orita_json(etl, "training-sets", "show", listed["id"][:6])
    assert shown == orita_json(etl, "training-sets", "show")
    assert sum(part["rows"] for part in shown["parts"].values()) == 20_000
    assert "item_ctr" in shown["features"]
    assert listed["id"] in run_orita(etl, "training-sets", "list")
    assert "item_ctr" in run_orita(etl, "training-sets", "show")
    assert "yes" in run_orita(etl, "training-sets", "reproduce")


def test_rows_that_are_not_what_they_were_fail_the_command(folder: Path) -> None:
    """A command fails with the part that differs, where a set cannot be made the same again."""
    (manifest,) = (folder / ".orita").rglob("manifest.json")
    manifest.write_text(manifest.read_text().replace('"digest": "', '"digest": "0'))
    with pytest.raises(OritaError, match="the rows of part 'train' are not what they were"):
        run_orita(folder, "training-sets", "reproduce")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("tables show interaction", "Did you mean 'interactions'?"),
        ("tables show users --version 9", "has no version 9: it has 0 to 0"),
        ("tables show users --at 2020-01-01", "it did not exist before"),
        ("tables show users --at soon", "--at is 'soon': give a time in ISO 8601"),
        ("tables history nothing", "table 'nothing' does not exist"),
        ("tables compact user", "table 'user' does not exist"),
        ("tables vacuum user", "table 'user' does not exist"),
        ("training-sets show zzz", "training set 'zzz' of system 'feed' does not exist. Known: "),
    ],
)
def test_what_does_not_exist_is_named(arguments: str, sentence: str, etl: Path) -> None:
    """Unknown tables, versions, times and sets are refused with what there is."""
    with pytest.raises(UserError) as refused:
        run_orita(etl, *arguments.split())
    assert sentence in str(refused.value)
