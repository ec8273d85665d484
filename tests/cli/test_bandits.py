"""``orita bandits``: declared from files, listed, shown with what was learnt; each refusal is a sentence."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.cli.test_tables import orita_json, run_orita
from tests.delivery.bandits.logged import choice, rewards

import orita.cli.bandits
import orita.cli.control  # noqa: F401  both register their commands
from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.delivery.bandits.kept import Bandits
from orita.delivery.bandits.records import KEY, PARTITION, STREAM, batch_of
from orita.events.log.embedded import EmbeddedLog

BANDITS = """
bandits:
  - {key: title, policy: {type: bernoulli_thompson}, arms: [short, long], description: of the front page}
  - {key: layout, policy: {type: lin_ucb}, features: [mobile], arms: [grid, list]}
"""


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    """Return a project with two bandits."""
    (tmp_path / "bandits.yaml").write_text(BANDITS)
    made = orita_json(tmp_path, "bandits", "declare", str(tmp_path / "bandits.yaml"), "--reason", "first")
    assert [(each["key"], each["version"]) for each in made["changed"]] == [("title", 1), ("layout", 1)]
    return tmp_path


def test_no_bandits(tmp_path: Path) -> None:
    """Looking says what to do, and makes nothing."""
    assert "There are no bandits yet" in run_orita(tmp_path, "bandits", "list")
    assert orita_json(tmp_path, "bandits", "list") == {"bandits": []}
    assert not (tmp_path / ".orita" / "control.db").exists()
    assert not (tmp_path / ".orita" / "events").exists()


def test_what_was_learnt_is_shown(declared: Path) -> None:
    """Picks, rewards, means and probabilities of each arm; choices joined with rewards as a file."""
    home = Home(declared / ".orita")
    title = Bandits(home.control_db).get("title").state
    log = EmbeddedLog(home)
    log.create(STREAM, PARTITION + 1)
    made = [choice(title, arm) for arm in ("short", "long", "long", "short")]
    told = [rewards(each, [value]) for each, value in zip(made, [0, 1, 1], strict=False)]
    log.append(STREAM, batch_of([*made, *told, told[0]]), key=KEY)
    shown = orita_json(declared, "bandits", "show", "title")
    assert shown["version"] == 1
    short, long = shown["state"]["arms"]
    assert (short["picked"], short["rewards"], short["mean"]) == (2, 1, 0.0)
    assert (long["picked"], long["rewards"], long["mean"]) == (2, 2, 1.0)
    # Beta(3, 1) is above Beta(1, 2) with probability ∫ 3 p² (1 − (1 − p)²) dp = 0.9.
    assert (short["probability"], long["probability"]) == (pytest.approx(0.1), pytest.approx(0.9))
    assert (shown["state"]["waiting"], shown["state"]["ignored"]) == (1, {"no_open_choice": 1})
    assert shown["state"]["closed_early"] == 0
    told_so = run_orita(declared, "bandits", "show", "title")
    assert "1 no open choice" in told_so
    assert "closed before their time" not in told_so
    listed = {each["key"]: each for each in orita_json(declared, "bandits", "list")["bandits"]}
    assert (listed["title"]["choices"], listed["title"]["rewards"], listed["layout"]["choices"]) == (4, 3, 0)
    assert "bernoulli_thompson" in run_orita(declared, "bandits", "list")
    found = orita_json(declared, "bandits", "choices", "title", str(declared / "choices.parquet"))
    assert (found["rows"], found["rewarded"]) == (4, 3)
    rows = pq.read_table(declared / "choices.parquet")
    assert rows["reward"].to_pylist() == [0, 1, 1, None]
    assert "3 of them" in run_orita(declared, "bandits", "choices", "title", str(declared / "choices.parquet"))
    with pytest.raises(UserError, match="--unrewarded is nan: give a finite number"):
        run_orita(declared, "bandits", "choices", "title", str(declared / "other.parquet"), "--unrewarded", "nan")


def test_choices_that_close_early_are_told_of(tmp_path: Path) -> None:
    """More choices than may wait: `show` says so and what to do, `choices` has them as the bandit counted them."""
    (tmp_path / "few.json").write_text(
        '{"bandits": [{"key": "title", "policy": {"type": "ucb1"}, "arms": ["a"], "most_open": 2, "unrewarded": 0}]}'
    )
    orita_json(tmp_path, "bandits", "declare", str(tmp_path / "few.json"))
    home = Home(tmp_path / ".orita")
    title = Bandits(home.control_db).get("title").state
    log = EmbeddedLog(home)
    log.create(STREAM, PARTITION + 1)
    made = [choice(title, "a") for _ in range(5)]
    log.append(STREAM, batch_of([*made, rewards(made[0], [1.0]), rewards(made[4], [1.0])]), key=KEY)
    assert "3 choices were closed before their time" in run_orita(tmp_path, "bandits", "show", "title")
    assert orita_json(tmp_path, "bandits", "show", "title")["state"]["closed_early"] == 3
    assert orita_json(tmp_path, "bandits", "show", "title")["state"]["held"] == 1
    file = str(tmp_path / "choices.parquet")
    assert orita_json(tmp_path, "bandits", "choices", "title", file)["rewarded"] == 3
    assert pq.read_table(file)["reward"].to_pylist() == [0, 0, 0, None, None]
    orita_json(tmp_path, "bandits", "choices", "title", file, "--unrewarded", "0.5")
    assert pq.read_table(file)["reward"].to_pylist() == [0.5, 0.5, 0.5, None, None]
    assert orita_json(tmp_path, "bandits", "choices", "title", file, "--since", "1970-01-02")["rows"] == 0
    assert orita_json(tmp_path, "bandits", "choices", "title", file, "--until", "1970-01-02")["rows"] == 5


def test_probabilities_of_a_context(declared: Path) -> None:
    """A bandit with features has them for a context that is given; else it is told how to give one."""
    assert """--with '{"mobile": 0}'""" in run_orita(declared, "bandits", "show", "layout")
    shown = orita_json(declared, "bandits", "show", "layout", "--with", '{"mobile": 1}')
    assert [each["probability"] for each in shown["state"]["arms"]] == [0.5, 0.5]


def test_changed_and_removed(declared: Path) -> None:
    """The same file changes nothing; a file that is the whole removes the rest; control state tells it all."""
    assert "already" in run_orita(declared, "bandits", "declare", str(declared / "bandits.yaml"))
    (declared / "one.json").write_text('{"bandits": [{"key": "title", "policy": {"type": "ucb1"}, "arms": ["short"]}]}')
    told = run_orita(declared, "bandits", "declare", str(declared / "one.json"), "--whole", "--expected", "1")
    assert "removed" in told
    assert "Removed title" in run_orita(declared, "bandits", "remove", "title", "--reason", "done")
    events = orita_json(declared, "control", "log", "--kind", "bandit")["events"]
    assert [(each["name"], each["type"]) for each in events[2:]] == [
        ("title", "declared"),
        ("layout", "removed"),
        ("title", "removed"),
    ]


@pytest.mark.parametrize(
    ("arguments", "kind", "sentence"),
    [
        (["show", "titel"], NotFound, "Did you mean 'title'?"),
        (["remove", "titel"], NotFound, "Did you mean 'title'?"),
        (["choices", "titel", "x.parquet"], NotFound, "Did you mean 'title'?"),
        (["choices", "title", "x.parquet", "--since", "noon"], UserError, "--since is 'noon'"),
        (["show", "layout", "--with", "{mobile: 1}"], UserError, "Give a JSON object"),
        (["show", "layout", "--with", '{"mobil": 1}'], UserError, "Did you mean 'mobile'?"),
        (["show", "title", "--with", '{"mobile": 1}'], UserError, "takes no context"),
        (["declare", "{folder}/none.yaml"], UserError, "cannot be read"),
        (["declare", "{folder}/bandits.yaml", "--expected", "1"], UserError, "has 2: leave it out"),
    ],
)
def test_refusals(declared: Path, arguments: list[str], kind: type[Exception], sentence: str) -> None:
    """Each says what is wrong and what to do."""
    with pytest.raises(kind, match=sentence.replace("?", r"\?")):
        run_orita(declared, "bandits", *[each.replace("{folder}", str(declared)) for each in arguments])
