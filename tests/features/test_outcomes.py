"""Outcomes beside the label: declared, carried by training rows, made again with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from orita import INTERACTION, Column, Entity, Source, system
from orita.core.errors import NotFound, UserError
from orita.events.schema import TableSchema
from orita.features.config import SplitSection
from orita.features.plan import plan_of
from orita.features.system import System
from orita.features.training_sets.reproduction import reproduce
from orita.features.training_sets.training_set import latest_training_set, training_set_id
from orita.models.reading import read_examples
from orita.pipelines.etl import etl_graph
from orita.pipelines.graph import run_graph
from orita.project import Project, open_project

USER, ITEM = Entity("user", key="user_id"), Entity("item", key="item_id")
EVENTS = Source("interactions", INTERACTION)
OTHERS = Source(
    "ads",
    TableSchema("ads", "id", "at", (Column("id", "str"), Column("at", "time"), Column("like", "flag"))),
)


@pytest.mark.parametrize(
    ("name", "column", "sentence"),
    [
        ("like", lambda: "like", r"outcome 'like' is 'like': give a column of 'interactions'"),
        ("like", lambda: OTHERS.like, r"outcome 'like' is a column of 'ads': give a column of 'interactions'"),
        ("click", lambda: EVENTS.like, r"outcome 'click' is the label, or is called as it"),
        ("opened", lambda: EVENTS.click, r"outcome 'opened' is the label, or is called as it"),
        ("device", lambda: EVENTS.device, r"outcome 'device' is of type 'category' with the minimum None"),
        ("my like", lambda: EVENTS.like, r"outcome 'my like' is not a name"),
    ],
)
def test_what_is_no_outcome_is_refused(name: str, column: Callable[[], object], sentence: str) -> None:
    """An outcome is a flag or a number of 0 or more of the label's events, under a name of its own."""
    with pytest.raises(UserError, match=sentence):
        system("feed", label=EVENTS.click, rank=ITEM, for_=USER, outcomes={name: column()})  # type: ignore[dict-item]


def test_outcomes_make_another_training_set() -> None:
    """Rows with other outcomes have another id; without outcomes the id is as it ever was."""

    def id_of(**outcomes: str) -> str:
        told = {name: EVENTS.column(column) for name, column in outcomes.items()}
        feed = system("feed", label=EVENTS.click, rank=ITEM, for_=USER, outcomes=told)
        feed.features(clicks=EVENTS.sum("click").by(USER))
        return training_set_id(plan_of(feed), feed.schema(), SplitSection(), ["file"])

    ids = [id_of(), id_of(like="like"), id_of(liked="like"), id_of(like="like", dwell="dwell_time")]
    assert len(set(ids)) == 4
    assert id_of(like="like") == ids[1]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A small feed of which the ETL ran."""
    folder = tmp_path_factory.mktemp("outcomes")
    world = [f"data_generation.{item}" for item in ("num_users=60", "num_items=80", "num_interactions=1500")]
    made = open_project(folder, home=folder / "home", system="feed", overrides=world)
    workspace = made.workspace()
    run_graph(etl_graph(workspace), workspace)
    return made


def test_training_rows_carry_outcomes_and_the_name_of_the_label(project: Project) -> None:
    """Rows read from a training set say what else happened, in its own unit, and how the label is called."""
    made = latest_training_set(project.home.training_sets, "feed")
    rows = read_examples(made.file("train"), made.schema)
    assert (rows.label, set(rows.outcomes)) == ("click", {"like", "share", "dwell"})
    assert all(len(told_N) == len(rows) and told_N.dtype == np.float32 for told_N in rows.outcomes.values())
    assert np.all(rows.outcomes["like"] <= rows.y_N)
    assert 1 < rows.outcomes["dwell"].max() <= 300
    few = rows.take(slice(3, 9))
    assert np.array_equal(few.outcomes["dwell"], rows.outcomes["dwell"][3:9])
    assert not any(name.startswith("outcome") for name in made.schema.names)


def test_a_training_set_is_made_again_with_its_own_outcomes(project: Project, tmp_path: Path) -> None:
    """Whatever outcomes are declared now, a training set is made again with those that it was made with."""
    made = latest_training_set(project.home.training_sets, "feed")
    now: System = replace(project.system, outcomes={})
    again = reproduce(project.home, now, made.id, tmp_path / "again")
    assert again.equal
    names = pq.read_schema(tmp_path / "again" / "val.parquet").names
    assert [name for name in names if name.startswith("outcome:")] == ["outcome:like", "outcome:share", "outcome:dwell"]
    assert read_examples(tmp_path / "again" / "val.parquet", made.schema).label == "click"


def test_an_outcome_that_the_source_has_not_is_refused() -> None:
    """A misspelled column is refused with those that exist."""
    with pytest.raises(NotFound, match="dwell_time"):
        _ = EVENTS.dwel_time
