"""What a project has at hand for people who look at data and models."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest

from orita.core.errors import NotFound, UserError
from orita.models.ranker import FitContext
from orita.project import Project, open_project

SMALL = [
    *(f"data_generation.{name}" for name in ("num_users=60", "num_items=40", "num_interactions=1500")),
    "model.type=popularity",
    "beside=[]",
    "evaluation.resamples=20",
    "evaluation.report=false",
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project whose tables and training set are there, and no model."""
    opened = open_project(home=tmp_path_factory.mktemp("project") / "home", system="feed", overrides=SMALL)
    (etl,) = opened.run("etl")
    assert [task.status for task in etl.tasks] == ["success"] * len(etl.tasks)
    return opened


def test_a_table_is_a_query_away(project: Project) -> None:
    """A table by its name stands behind FROM in DuckDB; another name is refused with those that exist."""
    interactions = project.table("interactions")
    ((rows,),) = duckdb.sql(f"SELECT count(DISTINCT interaction_id) FROM {interactions.sql}").fetchall()
    assert rows == interactions.rows == 1500
    with pytest.raises(NotFound, match="interactions"):
        project.table("interaction")


def test_examples_are_the_parts_of_a_training_set(project: Project) -> None:
    """Parts come by name with every feature, in order of time, of the newest set or of the one asked for."""
    made = project.training_set()
    parts = {name: project.examples(name) for name in ("train", "val", "test")}
    assert {name: len(rows) for name, rows in parts.items()} == {name: part.rows for name, part in made.splits.items()}
    assert all(rows.schema == made.schema for rows in parts.values())
    assert parts["train"].time_N.max() <= parts["val"].time_N.min()
    assert project.training_set(made.id) == made
    np.testing.assert_array_equal(project.examples("val", made.id).x_NF, parts["val"].x_NF)


def test_a_part_that_is_not_there_is_a_sentence(project: Project) -> None:
    """A misspelt part, an unknown set, and a set whose files were let go each say what to do."""
    with pytest.raises(NotFound, match=r"no part 'tset'\. Did you mean 'test'"):
        project.examples("tset")
    with pytest.raises(NotFound, match=r"training set 'none' .* does not exist"):
        project.examples("val", "none")
    made = project.training_set()
    hidden = made.file("val").rename(made.folder / "hidden")
    try:
        with pytest.raises(UserError, match=rf"{made.id} were let go: 'orita training-sets reproduce {made.id}'"):
            project.examples("train")
    finally:
        hidden.rename(made.file("val"))


def test_features_are_chosen_by_name(project: Project) -> None:
    """Rows with some features are the same rows, with the columns in the order that was asked for."""
    rows = project.examples("val")
    names = (rows.schema.names[3], rows.schema.names[0])
    few = rows.select(*names)
    assert few.schema.names == names
    np.testing.assert_array_equal(few.x_NF, rows.x_NF[:, [3, 0]])
    assert few.y_N is rows.y_N
    assert len(rows.select().schema) == 0
    with pytest.raises(NotFound, match="'clicks' is not in the schema"):
        rows.select("clicks")


def test_a_ranker_has_the_project_s_settings(project: Project) -> None:
    """A ranker by its type, or of the project's own, is built of `model_config.yaml` and not fitted."""
    assert project.ranker().type == "popularity"
    trees = project.ranker("lightgbm")
    with pytest.raises(UserError, match="has not been fitted"):
        trees.score(project.examples("val"))
    with pytest.raises(UserError, match="Did you mean 'lightgbm'"):
        project.ranker("lightgbn")


def test_a_package_is_what_was_registered(project: Project) -> None:
    """A version or an alias opens the package that scores as a ranker fitted on the same rows does."""
    (trained,) = project.run("training")
    version = trained.results["register_model"]["version"]
    rows, fitted = project.examples("test"), project.ranker()
    fitted.fit(project.examples("train"), project.examples("val"), FitContext())
    for package in (project.package(version), project.package("challenger")):
        assert package.version == version
        np.testing.assert_allclose(package.score(rows.users_N, rows.items_N, rows.x_NF), fitted.score(rows), atol=1e-5)
    with pytest.raises(NotFound, match=r"v9\.9\.9"):
        project.package("v9.9.9")


def test_a_project_without_rows_says_what_to_run(tmp_path: Path) -> None:
    """Before the first run there is no table and no training set: each is a sentence with the next step."""
    empty = open_project(home=tmp_path / "home", system="feed")
    with pytest.raises(NotFound, match="run 'orita run etl' first"):
        empty.examples("train")
    with pytest.raises(NotFound, match="interactions"):
        empty.table("interactions")
