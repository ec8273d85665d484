"""``orita experiments``: from a file to a verdict, on files and on a home with a prediction log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from tests.cli.test_tables import orita_json, run_orita
from tests.delivery.rollouts.answering import ITEMS, Behaviour, LogOfServers, requests_of

import orita.cli.control
import orita.cli.experiments  # noqa: F401  both register their commands
from orita.control.deployments import Deployments
from orita.core.clock import ManualClock
from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.delivery.rollouts import RolloutPlan, Rollouts
from orita.events.lake import Lake

START = datetime(2024, 11, 4, tzinfo=UTC)

ON_FILES = """
experiments:
  - key: colours
    owner: ana
    hypothesis: green sells
    variants: [{name: blue, weight: 50}, {name: green, weight: 50}]
    exposures: {kind: file, path: shown.csv}
    outcomes:
      sales: {kind: file, path: sales.csv, unit: buyer, time: at}
    metrics:
      - name: bought
        kind: mean
        aggregate: any
        source: sales
        column: amount
        window: 1d
        direction: up
        role: primary
        effect: 0.2
"""
ON_THE_LOG = """
experiments:
  - key: ranking
    variants: [{{name: v1.0.0, weight: 50}}, {{name: v1.1.0, weight: 50}}]
    exposures: {{kind: predictions, rollout: {rollout}}}
    {layer}
    metrics:
      - {{name: clicks, kind: mean, column: click, window: 1d, direction: up, role: primary, effect: 0.5}}
"""


@pytest.fixture
def on_files(tmp_path: Path) -> Path:
    """Return a project with an experiment of which green is bought by half of its 300 users, blue by a fifth."""
    users = range(600)
    times = [START + timedelta(minutes=5 * user) for user in users]
    shown = [
        f"{user},{('blue', 'green')[user % 2]},{time.isoformat()}" for user, time in zip(users, times, strict=True)
    ]
    bought = [user for user in users if (user // 2) % 10 < (5 if user % 2 else 2)]
    sold = [f"{user},{(times[user] + timedelta(hours=2)).isoformat()},9.5" for user in bought]
    (tmp_path / "shown.csv").write_text("\n".join(["user_id,variant,timestamp", *shown]))
    (tmp_path / "sales.csv").write_text("\n".join(["buyer,at,amount", *sold]))
    (tmp_path / "experiments.yaml").write_text(ON_FILES)
    run_orita(tmp_path, "experiments", "declare", str(tmp_path / "experiments.yaml"), "--reason", "spring")
    return tmp_path


def test_no_experiments(tmp_path: Path) -> None:
    """Looking says what to do, and makes nothing."""
    assert "There are no experiments yet" in run_orita(tmp_path, "experiments", "list")
    assert not (tmp_path / ".orita" / "control.db").exists()


def test_from_a_file_to_a_verdict(on_files: Path) -> None:
    """Declared, started, reported on as of any time, stopped, removed; every step is in the log."""
    begun = orita_json(on_files, "experiments", "start", "colours", "--at", "2024-11-04")
    assert (begun["status"], begun["version"]) == ("running", 2)
    early = orita_json(on_files, "experiments", "report", "colours", "--until", "2024-11-05T06:00:00Z")
    assert early["verdict"]["decision"] == "keep_running"
    page = on_files / "report.html"
    told = orita_json(on_files, "experiments", "report", "colours", "--until", "2024-11-08", "--html", str(page))
    (effect,) = told["metrics"][0]["effects"]
    assert (effect["control"], effect["treatment"]) == (0.2, 0.5)
    assert told["verdict"]["sentence"] == "ship green"
    assert "ship green" in page.read_text()
    printed = run_orita(on_files, "experiments", "report", "colours", "--until", "2024-11-08")
    assert "ship green" in printed
    assert "+150.0%" in printed
    run_orita(on_files, "experiments", "stop", "colours", "--winner", "green", "--reason", "it sells")
    (listed,) = orita_json(on_files, "experiments", "list")["experiments"]
    assert (listed["status"], listed["winner"], listed["owner"]) == ("stopped", "green", "ana")
    run_orita(on_files, "experiments", "remove", "colours")
    events = orita_json(on_files, "control", "log", "--kind", "experiment")["events"]
    assert [event["type"] for event in events] == ["declared", "started", "stopped", "removed"]
    here = "on the command line"
    assert [event["reason"] for event in events] == ["spring", f"started {here}", "it sells", f"removed {here}"]


def test_shown_as_it_was_declared(on_files: Path) -> None:
    """What is shown can be declared again, which changes nothing; a running one refuses another metric."""
    shown = run_orita(on_files, "experiments", "show", "colours")
    (on_files / "again.yaml").write_text(shown)
    assert "already" in run_orita(on_files, "experiments", "declare", str(on_files / "again.yaml"))
    run_orita(on_files, "experiments", "start", "colours")
    told = [orita_json(on_files, "experiments", "assign", "colours", "--with", '{"user_id": 12}') for _ in range(2)]
    assert told[0] == told[1]
    assert (told[0]["reason"], told[0]["variant"] in ("blue", "green")) == ("assigned", True)
    assert "no unit" in run_orita(on_files, "experiments", "assign", "colours", "--with", "{}")
    (on_files / "again.yaml").write_text(shown.replace("effect: 0.2", "effect: 0.1"))
    with pytest.raises(UserError, match="the primary metric would change what its decision rests on"):
        run_orita(on_files, "experiments", "declare", str(on_files / "again.yaml"))
    with pytest.raises(UserError, match="goes back by 'orita experiments"):
        run_orita(on_files, "control", "restore", "2024-11-04", "--reason", "no", "--only", "experiment")


def test_what_is_refused(on_files: Path) -> None:
    """With a sentence that says what there is."""
    with pytest.raises(NotFound, match=r"no experiment 'colour'\. Did you mean 'colours'"):
        run_orita(on_files, "experiments", "report", "colour")
    with pytest.raises(UserError, match="is a draft"):
        run_orita(on_files, "experiments", "report", "colours")
    with pytest.raises(UserError, match="--until is '2999-01-01', which is not over yet"):
        run_orita(on_files, "experiments", "report", "colours", "--until", "2999-01-01")
    with pytest.raises(UserError, match="cannot be read"):
        run_orita(on_files, "experiments", "declare", str(on_files / "none.yaml"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--spread inf", "--spread is inf: give a number from"),
        ("--spread nan", "--spread is nan: give a number from"),
        ("--spread 1e300", r"--spread is 1e\+300: give a number from"),
        ("--spread 1e-300", "--spread is 1e-300: give a number from"),
        ("--spread 1 --effect inf", "--effect is inf: give a number from"),
        ("--baseline 0.1 --effect nan", "--effect is nan: give a number from"),
        ("--spread 1 --effect 1e-300", "--effect is 1e-300: give a number from"),
        ("--spread 1e10", r"spread by 1e\+10: these may differ a million times at most"),
        ("--spread 1 --units-a-day inf", "--units-a-day is inf: give a number from"),
        ("--spread 1 --units-a-day 1e-300", "--units-a-day is 1e-300: give a number from"),
        ("--spread 1 --power nan", "power is nan; it must lie above the level"),
        ("--spread 1 --correlation inf", "correlation is inf; it must be above -1"),
    ],
)
def test_no_size_of_such_a_number(on_files: Path, options: str, sentence: str) -> None:
    """What is no number, or no figure of a metric, is refused in a sentence that names the option."""
    with pytest.raises(UserError, match=sentence):
        run_orita(on_files, "experiments", "plan", str(on_files / "experiments.yaml"), "colours", *options.split())


@pytest.mark.parametrize("options", ["--correlation 0.9999999999999999", "--power 0.9999999999999", "--effect 1000"])
def test_a_plan_at_the_edge(on_files: Path, options: str) -> None:
    """Where a handful of units tells everything, or near certainty is asked for, there is a plan all the same."""
    file = str(on_files / "experiments.yaml")
    told = orita_json(on_files, "experiments", "plan", file, "colours", "--spread", "1", *options.split())
    assert 1 <= told["fixed"] <= told["sequential"]
    assert all(0 <= row["power"] <= 1 for row in told["table"])


def test_planned(on_files: Path) -> None:
    """The size for two proportions is the textbook's; a sequential test needs more; days follow from the traffic."""
    file = str(on_files / "experiments.yaml")
    options = ("--baseline", "0.1", "--effect", "0.02", "--units-a-day", "500")
    told = orita_json(on_files, "experiments", "plan", file, "colours", *options)
    variance = 0.1 * 0.9 + 0.12 * 0.88
    assert told["fixed"] == pytest.approx(2 * (1.959964 + 0.841621) ** 2 * variance / 0.02**2, rel=1e-3)
    assert 1.2 * told["fixed"] < told["sequential"] < 1.8 * told["fixed"]
    assert told["sequential_days"] == -(-told["sequential"] // 500) + 1
    assert [row["power"] for row in told["table"]] == sorted(row["power"] for row in told["table"])
    printed = run_orita(on_files, "experiments", "plan", file, "colours", *options)
    assert f"{told['sequential']:,} units" in printed
    with pytest.raises(UserError, match=r"--baseline 0\.99 and an effect of 0\.05 make 1\.04.*give an --effect"):
        run_orita(on_files, "experiments", "plan", file, "colours", "--baseline", "0.99", "--effect", "0.05")
    with pytest.raises(UserError, match="--baseline is 10: the control's share lies above 0 and below 1"):
        run_orita(on_files, "experiments", "plan", file, "colours", "--baseline", "10")
    with pytest.raises(UserError, match="give --baseline"):
        run_orita(on_files, "experiments", "plan", file, "colours")


def test_on_a_prediction_log(tmp_path: Path) -> None:
    """Answers that a rollout's dice chose are the exposures, interactions of the home the outcomes; others are none."""
    home, clock = Home(tmp_path / ".orita"), ManualClock(START)
    Deployments(home.control_db, clock=clock).deploy("feed", "v1.0.0", actor="ana", reason="first")
    plan = RolloutPlan(strategy="ab", versions=("v1.1.0",), shares=(50,))
    rollout = Rollouts(home.control_db, clock=clock).start("feed", plan, actor="ana", reason="topics")
    behaviour, rng = {"v1.0.0": Behaviour(), "v1.1.0": Behaviour()}, np.random.default_rng(0)
    answers = list(requests_of(rollout, START + timedelta(hours=1), range(400), behaviour, rng))
    strangers = [msgspec.structs.replace(answers[0], user_id=1000 + n, rollout=(None, "another")[n]) for n in (0, 1)]
    LogOfServers(home).write(answers + strangers)
    of_v1_1 = np.array([each.variant == "v1.1.0" for each in answers])
    clicks = rng.poisson(np.where(of_v1_1, 2.0, 0.5))
    unit = np.repeat(np.arange(400), clicks)
    times = [START + timedelta(hours=1, minutes=30)] * (len(unit) + 1)
    rows = pa.table(
        {
            "user_id": pa.array([*unit.tolist(), 1000]),
            "timestamp": pa.array(times, pa.timestamp("us", tz="UTC")),
            "click": pa.array([1] * (len(unit) + 1), pa.int8()),
        }
    )
    Lake(home).append("interactions", rows.to_reader(), {}, time="timestamp")
    (tmp_path / "e.yaml").write_text(ON_THE_LOG.format(rollout=rollout.id, layer=""))
    run_orita(tmp_path, "experiments", "declare", str(tmp_path / "e.yaml"))
    run_orita(tmp_path, "experiments", "start", "ranking", "--at", START.isoformat())
    told = orita_json(tmp_path, "experiments", "report", "ranking", "--until", "2024-11-06")
    assert told["exposed"]["units"] == {"v1.0.0": (~of_v1_1).sum(), "v1.1.0": of_v1_1.sum()}
    assert told["exposed"]["rows"] == 400 * ITEMS
    (effect,) = told["metrics"][0]["effects"]
    assert effect["estimate"] == pytest.approx(clicks[of_v1_1].mean() - clicks[~of_v1_1].mean())
    assert told["verdict"]["sentence"] == "ship v1.1.0"
    assigned = orita_json(tmp_path, "experiments", "assign", "ranking", "--with", '{"user_id": 12}')
    assert assigned["variant"] == answers[12].variant


def test_what_only_the_rollout_decides(tmp_path: Path) -> None:
    """A declaration on the prediction log that says it is refused, and so is the start on no rollout."""
    (tmp_path / "e.yaml").write_text(ON_THE_LOG.format(rollout="r7", layer="layer: {name: ranking, percent: 40}"))
    with pytest.raises(UserError, match=r"experiment 'ranking': layer is given, .* leave layer out"):
        run_orita(tmp_path, "experiments", "declare", str(tmp_path / "e.yaml"))
    (tmp_path / "e.yaml").write_text(ON_THE_LOG.format(rollout="r7", layer=""))
    run_orita(tmp_path, "experiments", "declare", str(tmp_path / "e.yaml"))
    with pytest.raises(UserError, match=r"experiment 'ranking' cannot start: exposures\.rollout is 'r7'"):
        run_orita(tmp_path, "experiments", "start", "ranking")
