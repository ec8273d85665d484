"""A project whose declarations change while a champion serves: the whole of it goes on, with old and new beside."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.test_features import project, recent_events, run, told
from tests.features.small_system import DECLARED, events, write_jsonl

from orita.cli import learn, serve, training_sets  # noqa: F401 - they register their commands
from orita.core.clock import SystemClock
from orita.core.errors import UserError

CHANGED = (
    DECLARED.replace('over("1d")', 'over("3h")')
    .replace('shown.ratio("click").by(item)', 'shown.ratio("click").by(item).over("2h")')
    .replace('Source("interactions", INTERACTION)', 'Source("interactions", WIDER)')
    .replace("Entity, Source", "Column, Entity, Source")
    .replace("user = ", 'WIDER = INTERACTION.with_columns(Column("rating", "float"), Column("like", "flag"))\nuser = ')
    .replace("    never=", '    stars=shown.mean("rating").by(item),\n    never=')
)
DELAYED = CHANGED.replace("WIDER)", 'WIDER, delay="5m")')
MODEL = ("--set", "model.type=deep_mlp", "--set", "training.epochs=1")


def answers(folder: Path, at: datetime) -> list[object]:
    """Return what the champion says of three items."""
    asked = ("1", "100", "101", "102", "--timestamp", at.isoformat())
    found: list[object] = told(folder, "predict", *asked)["predictions"]
    return found


def test_a_champion_goes_on_while_declarations_change(tmp_path: Path) -> None:
    """A column is added and windows change: the champion says what it said, beside new features.

    A change that cannot stand beside what it reads, such as another delay, is told by everybody who needs its features.
    """
    folder, now = project(tmp_path), SystemClock().now()
    run(folder, "run", "etl", "--data", str(write_jsonl(folder / "events.jsonl", recent_events(300))))
    run(folder, *MODEL, "train")
    run(folder, "models", "promote", "challenger")
    made = told(folder, "training-sets", "list")["training_sets"][0]["id"]
    before = answers(folder, now)
    project(folder, CHANGED)
    run(folder, "run", "etl")
    assert {fault["code"] for fault in told(folder, "features", "check", code=1)["faults"]} == {"never_filled"}
    assert answers(folder, now) == before
    assert told(folder, "training-sets", "reproduce", made)["equal"]
    verdict = told(folder, *MODEL, "run", "retraining", "--force")["runs"][0]["tasks"][-2]["result"]
    assert verdict["low"] <= verdict["delta"] <= verdict["high"], "the new model was compared with the old one"
    run(folder, "models", "promote", "v1.1.0")
    more = [{**event, "rating": 4.5} for event in events(3, start=300, last=now - timedelta(minutes=1))]
    run(folder, "features", "push", str(write_jsonl(folder / "more.jsonl", more)))
    assert told(folder, "features", "stream", "--once")["counted"] == 3
    assert {row["stars"] for row in told(folder, "features", "read", "1", "100", "101", "102")["rows"]} == {4.5}
    assert answers(folder, now) != before

    project(folder, DELAYED)
    run(folder, "features", "backfill")
    says = r"source 'interactions' had delay='0s' then and has '5m' now: declare it as it was, or train a new model\."
    for command in (("predict", "1", "100"), (*MODEL, "run", "retraining", "--force")):
        with pytest.raises(UserError, match=says):
            run(folder, *command)
    (fault,) = (f for f in told(folder, "features", "check", code=1)["faults"] if f["code"] == "model_reads_other")
    assert "had delay='0s' then" in fault["sentence"] and "orita models promote" in fault["remedy"]
    assert told(folder, "training-sets", "reproduce", made)["equal"]
