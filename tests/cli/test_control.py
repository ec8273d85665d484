"""``orita control``: what was decided, the state at a time, back to it, and a replay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.test_tables import orita_json, run_orita

import orita.cli.control  # registers its commands
from orita.control.database import ControlDatabase
from orita.control.deployments import Deployments
from orita.control.model_records import ModelRecords
from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.project import open_project

AT = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)


@pytest.fixture
def decided(tmp_path: Path) -> Path:
    """Return a project with three decisions, an hour apart."""
    clock, file = ManualClock(AT), tmp_path / ".orita" / "control.db"
    Deployments(file, clock=clock).deploy("feed", "v1.0.0", actor="ana", reason="[first]")
    clock.advance(timedelta(hours=1))
    ModelRecords(file, clock=clock).describe("feed", "v1.0.0", description="old", tags={}, actor="ana")
    clock.advance(timedelta(hours=1))
    ModelRecords(file, clock=clock).describe("feed", "v1.0.0", description="new", tags={}, actor="ben")
    return tmp_path


def test_nothing_was_decided(tmp_path: Path) -> None:
    """Looking at a home without control state says so, and makes none."""
    assert "Nothing was decided yet" in run_orita(tmp_path, "control", "log")
    assert orita_json(tmp_path, "control", "log") == {"events": []}
    assert "There was nothing yet at now" in run_orita(tmp_path, "control", "at", "now")
    assert not (tmp_path / ".orita" / "control.db").exists()


def test_what_who_when_and_why(decided: Path) -> None:
    """Each decision is listed, the latest last; kind, name and count choose some of them."""
    events = orita_json(decided, "control", "log")["events"]
    assert [(each["position"], each["kind"], each["version"], each["actor"]) for each in events] == [
        (1, "deployment", 1, "ana"),
        (2, "models", 1, "ana"),
        (3, "models", 2, "ben"),
    ]
    assert (events[0]["body"], events[0]["reason"]) == ({"version": "v1.0.0", "kind": "deploy"}, "[first]")
    assert len(orita_json(decided, "control", "log", "--kind", "models")["events"]) == 2
    assert orita_json(decided, "control", "log", "--name", "ads") == {"events": []}
    shown = run_orita(decided, "control", "log", "--last", "1")
    assert "the last 1 of 3" in shown
    known = "bandit, deployment, experiment, flag, models, retraining, rollout, segment"
    with pytest.raises(UserError, match=f"--kind 'flags' is none: use one of {known}"):
        run_orita(decided, "control", "log", "--kind", "flags")


def test_the_state_at_a_time_and_back_to_it(decided: Path) -> None:
    """What was said an hour ago is shown, restored by one decision, and the champion is left alone."""
    moment = "2024-11-15T11:45:00Z"

    def description(at: str) -> str:
        things = orita_json(decided, "control", "at", at, "--kind", "models")["things"]
        return str(things[0]["state"]["told"]["v1.0.0"]["description"])

    assert (description(moment), description("now")) == ("old", "new")
    assert "deployment" in run_orita(decided, "control", "at", "2024-11-15T10:30:00")
    made = orita_json(decided, "control", "restore", moment, "--reason", "wrong")["events"]
    assert [(each["kind"], each["type"], each["reason"]) for each in made] == [("models", "restored", "wrong")]
    assert description("now") == "old"
    again = run_orita(decided, "control", "restore", moment, "--reason", "x", "--only", "models/feed")
    assert f"Everything that a restore changes is as it was at {moment} already." in " ".join(again.split())


def test_what_a_restore_leaves_is_told(decided: Path) -> None:
    """The command's help and the document name every kind that stays, the document with the command instead."""
    help_ = " ".join(run_orita(decided, "control", "restore", "--help").split())
    document = (Path(__file__).parents[2] / "docs" / "control.md").read_text()
    _, kinds = orita.cli.control._opened(open_project(decided))
    rows = [line for line in document.splitlines() if line.startswith("| `")]
    for name, kind in kinds.items():
        (row,) = [row for row in rows if f"`{name}`" in row.split("|")[1]]
        assert ("leaves them" in row) == bool(kind.goes_back), name
        assert kind.goes_back.partition(",")[0] in row
        assert not kind.goes_back or name in help_


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["at", "yesterday"], "the time is 'yesterday': give a time in ISO 8601"),
        (["restore", "now", "--reason", "x"], "the state is that of now already"),
        (["restore", "2999-01-01", "--reason", "x"], "is not over yet"),
        (["at", "0001-01-01T00:00:00+14:00"], "the time is '0001"),
        (["restore", "2024-11-15", "--reason", "x", "--only", "job"], "--only 'job' names no kind"),
        (
            ["restore", "2024-11-15", "--reason", "x", "--only", "deployment/feed"],
            "a deployment goes back by",
        ),
    ],
)
def test_wrong_words(decided: Path, arguments: list[str], sentence: str) -> None:
    """A time, kind or thing that cannot be meant is refused in a sentence, and nothing is decided."""
    with pytest.raises(UserError, match=sentence):
        run_orita(decided, "control", *arguments)
    assert len(orita_json(decided, "control", "log")["events"]) == 3


def test_a_replay_finds_what_was_kept_otherwise(decided: Path) -> None:
    """Exit code 1 and the thing's name where a state was not what its events say; then it is."""
    assert orita_json(decided, "control", "rebuild") == {"events": 3, "things": 2, "different": []}
    with ControlDatabase(decided / ".orita" / "control.db").writing() as connection:
        connection.exec_driver_sql("UPDATE control_states SET version = 9 WHERE kind = 'models'")
    with pytest.raises(SystemExit) as ended:
        run_orita(decided, "control", "rebuild")
    assert ended.value.code == 1
    assert orita_json(decided, "control", "rebuild")["different"] == []
