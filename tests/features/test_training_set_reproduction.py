"""A training set is made again from its id alone, or it is said why not."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.features.small_system import events, ingested, small_workspace

from orita import INTERACTION, Column, Entity, Source, system
from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.events.lake import Lake
from orita.features.system import System
from orita.features.training_sets.reproduction import reproduce
from orita.features.training_sets.training_set import (
    SPLITS,
    latest_training_set,
    mark_latest,
    named_versions,
    open_training_set,
    training_sets,
)
from orita.pipelines.etl import etl_graph
from orita.pipelines.graph import run_graph
from orita.project import Project, open_project

_WORLD = ("num_users=60", "num_items=80", "num_interactions=1500")


def _open(folder: Path, *overrides: str) -> Project:
    world = [f"data_generation.{item}" for item in _WORLD]
    return open_project(folder, home=folder / "home", system="feed", overrides=[*world, *overrides])


def _etl(project: Project, **options: Any) -> Mapping[str, Any]:
    workspace = project.workspace(**options)
    return run_graph(etl_graph(workspace), workspace).results


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the ETL ran."""
    folder = tmp_path_factory.mktemp("made")
    _etl(_open(folder))
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Project:
    """The same, for one test to change."""
    shutil.copytree(made, tmp_path / "mine")
    return _open(tmp_path / "mine")


def _id(project: Project) -> str:
    return latest_training_set(project.home.training_sets, project.system.name).id


def _rows(folder: Path, part: str) -> list[Any]:
    with duckdb.connect() as connection:
        return list(connection.sql(f"SELECT hash(t) FROM '{folder}/{part}.parquet' t").fetchall())


def _grown(project: Project) -> None:
    """Add rows to the tables, which are events of the kind that is there."""
    lake = Lake(project.home)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        newer = connection.sql(
            "SELECT * REPLACE ('later-' || interaction_id AS interaction_id, timestamp + INTERVAL 1 DAY AS timestamp) "
            f"FROM {lake.snapshot('interactions').sql} LIMIT 200"
        )
        lake.append("interactions", newer.to_arrow_reader(), time="timestamp")


def test_it_is_the_same_after_the_tables_grew_and_were_compacted(project: Project, tmp_path: Path) -> None:
    """Rows that came later, and files that were rewritten, change nothing: every part has its rows, in their order."""
    name = _id(project)
    _grown(project)
    Lake(project.home).compact("interactions", time="timestamp")
    again = reproduce(project.home, project.system, name, tmp_path / "again")
    assert again.equal
    assert again.folder == tmp_path / "again"
    kept = open_training_set(project.home.training_sets, project.system.name, name)
    for part in SPLITS:
        assert _rows(tmp_path / "again", part) == _rows(kept.folder, part)
        assert again.rows[part] == kept.splits[part].rows
    assert sorted(file.name for file in (tmp_path / "again").iterdir()) == sorted(f"{part}.parquet" for part in SPLITS)


def test_another_training_set_has_another_digest(project: Project) -> None:
    """A digest stands for the rows: those of parts, and of sets of other events, differ."""
    first = latest_training_set(project.home.training_sets, project.system.name)
    assert len({split.digest for split in first.splits.values()}) == 3
    _grown(project)
    _etl(project)
    second = latest_training_set(project.home.training_sets, project.system.name)
    assert second.id != first.id
    assert {split.digest for split in second.splits.values()}.isdisjoint(s.digest for s in first.splits.values())
    assert [each.id for each in training_sets(project.home.training_sets, "feed")] == [second.id, first.id]


def test_files_are_not_needed(project: Project) -> None:
    """Files of older sets are let go, their description stays; the set is made again and compared all the same."""
    name, folder = _id(project), project.home.training_sets
    _grown(project)
    _etl(project)
    mark_latest(folder, "feed", _id(project), keep=1)
    old, new = open_training_set(folder, "feed", name), latest_training_set(folder, "feed")
    assert (old.complete, new.complete) == (False, True)
    assert reproduce(project.home, project.system, name).equal
    assert set(named_versions(folder, "interactions")) == {new.tables["interactions"]}


def test_the_etl_makes_a_set_anew_whose_files_are_gone(project: Project) -> None:
    """A set that is only described is no cached one."""
    kept = latest_training_set(project.home.training_sets, "feed")
    for part in SPLITS:
        kept.file(part).unlink()
    assert not _etl(project)["compute_features"]["cached"]
    again = latest_training_set(project.home.training_sets, "feed")
    assert again.complete
    assert again.splits == kept.splits
    assert _etl(project)["compute_features"]["cached"]


def test_changed_rows_are_told(project: Project) -> None:
    """Where the same versions give other rows than were written down, the parts say which."""
    kept = latest_training_set(project.home.training_sets, "feed")
    manifest = kept.folder / "manifest.json"
    content = json.loads(manifest.read_text())
    content["splits"]["val"]["digest"] = "0" * 32
    manifest.write_text(json.dumps(content))
    again = reproduce(project.home, project.system, kept.id)
    assert not again.equal
    assert [part for part in SPLITS if again.expected[part] != again.found[part]] == ["val"]


def test_digests_of_another_engine_are_taken_again(project: Project) -> None:
    """Hashes of another DuckDB may differ: the files are compared, and where they are gone it is said."""
    kept = latest_training_set(project.home.training_sets, "feed")
    manifest = kept.folder / "manifest.json"
    content = json.loads(manifest.read_text())
    content["engine"] = "duckdb 0.9"
    for split in content["splits"].values():
        split["digest"] = "0" * 32
    manifest.write_text(json.dumps(content))
    assert reproduce(project.home, project.system, kept.id).equal
    for part in SPLITS:
        kept.file(part).unlink()
    with pytest.raises(UserError, match=r"files are gone and its digests were taken by duckdb 0\.9"):
        reproduce(project.home, project.system, kept.id)


def _changed(system: System, name: str, declared: Mapping[str, Any], label: str | None = None) -> System:
    changed = copy.copy(system)
    changed.declared = dict(declared)
    if label:
        changed.label = getattr(system.source, label)
    return changed


def _others(system: System) -> list[dict[str, Any]]:
    """Return declarations without a feature, and with the meanings of two swapped."""
    first, second = "item_ctr", "user_historical_ctr"
    swapped = {first: system.declared[second], second: system.declared[first]}
    return [{key: value for key, value in system.declared.items() if key != first}, dict(system.declared) | swapped]


def test_declarations_of_then_are_in_the_registry(project: Project) -> None:
    """A feature that is gone, or means something else now, is made as it was recorded."""
    system, name = project.system, _id(project)
    for declared in _others(system):
        assert reproduce(project.home, _changed(system, name, declared), name).equal


def _mini(*, window: str, delay: str = "0s", choices: tuple[str, ...] = ("mobile", "desktop", "tablet")) -> System:
    device = Column("device", "category", choices=choices)
    more = () if window == "1d" else (Column("rating", "float"),)
    shown = Source("interactions", INTERACTION.with_columns(device, *more), delay=delay)
    user, item = Entity("user", "user_id"), Entity("item", "item_id")
    made = system("small", label=shown.click, rank=item, for_=user)
    made.features(
        recent=shown.count().by(user).over(window),
        ctr=shown.ratio("click").by(item),
        newest=shown.last("device").by(user),
        device=shown.context.device.one_hot("mobile"),
    )
    return made


@pytest.mark.parametrize(
    "now",
    [
        _mini(window="2d"),
        _mini(window="2d", delay="5m"),
        _mini(window="2d", choices=("tablet", "watch", "mobile", "desktop")),
    ],
)
def test_what_was_declared_beside_a_feature_may_have_changed(tmp_path: Path, now: System) -> None:
    """Another window, one more column, another delay or other choices: the set's id makes the rows of then again."""
    workspace = small_workspace(tmp_path, _mini(window="1d"))
    ingested(workspace.home, tmp_path, events(120), workspace.system)
    for made in (workspace, replace(workspace, system=now)):
        graph = etl_graph(made)
        run_graph(replace(graph, tasks=graph.tasks[2:]), made)
    newest, oldest = training_sets(workspace.home.training_sets, "small")
    assert newest.schema.version != oldest.schema.version
    assert reproduce(workspace.home, now, oldest.id).equal
    assert reproduce(workspace.home, now, newest.id).equal


def test_what_was_not_recorded_is_refused(project: Project) -> None:
    """Where the registry does not have what a feature was, the sentence names it; so it does another label."""
    system, name = project.system, _id(project)
    (project.home.features / "feed.json").unlink()
    fewer, swapped = _others(system)
    with pytest.raises(UserError, match="feature 'item_ctr' is not declared any more in system 'feed', and the reg"):
        reproduce(project.home, _changed(system, name, fewer), name)
    with pytest.raises(UserError, match=r"'user_historical_ctr' is declared otherwise now .* was never recorded or is"):
        reproduce(project.home, _changed(system, name, swapped), name)
    with pytest.raises(UserError, match="its label was click and is like now"):
        reproduce(project.home, _changed(system, name, system.declared, "like"), name)


def test_another_feature_beside_changes_nothing(project: Project) -> None:
    """A feature that was added since does not keep the set from being made again."""
    more = dict(project.system.declared) | {"another": project.system.declared["item_ctr"]}
    system = _changed(project.system, "feed", more)
    if hasattr(system, "notes"):
        system.notes = dict(system.notes) | {"another": system.notes["item_ctr"]}
    assert reproduce(project.home, system, _id(project)).equal


def test_vacuumed_versions_are_told(project: Project) -> None:
    """A vacuum keeps what a set with files names; forced, the set says which version it lacks."""
    name, lake = _id(project), Lake(project.home)
    _grown(project)
    lake.compact("interactions", time="timestamp")
    named = named_versions(project.home.training_sets, "interactions")
    assert named == {0: [f"feed/{name}"]}
    lake.vacuum("interactions", timedelta(0), named=named)
    assert reproduce(project.home, project.system, name).equal
    lake.vacuum("interactions", timedelta(0), named=named, force=True)
    with pytest.raises(NotFound, match=f"training set {name} cannot be made again: version 0 .* was vacuumed"):
        reproduce(project.home, project.system, name)


def test_unknown_sets_and_taken_folders_are_refused(project: Project, tmp_path: Path) -> None:
    """A set that does not exist is told with those that do; a folder that is there is not written over."""
    with pytest.raises(NotFound, match=f"Known: {_id(project)}"):
        reproduce(project.home, project.system, "nothing")
    with pytest.raises(UserError, match="exists already: name a new folder"):
        reproduce(project.home, project.system, _id(project), tmp_path)


def test_no_set_names_no_version(tmp_path: Path) -> None:
    """Before the first training set nothing is named."""
    assert named_versions(Home(tmp_path).training_sets, "interactions") == {}
