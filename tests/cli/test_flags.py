"""``orita flags``: declared from files, switched, evaluated; each refusal is a sentence and changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_tables import orita_json, run_orita

import orita.cli.control
import orita.cli.flags  # noqa: F401  both register their commands
from orita.core.errors import NotFound, UserError

FLAGS = """
segments:
  north: {is: in, attribute: country, values: [SE, DK]}
flags:
  - key: checkout
    rules:
      - {name: half, when: {is: segment, name: north}, rollout: {percent: 50, by: user_id}, serve: "on"}
  - {key: banner, kind: multivariate, variants: {red: R, blue: B}, default: red}
"""


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    """Return a project with two flags."""
    (tmp_path / "flags.yaml").write_text(FLAGS)
    made = orita_json(tmp_path, "flags", "set", str(tmp_path / "flags.yaml"), "--reason", "first")
    assert [(each["kind"], each["name"]) for each in made["changed"]] == [
        ("segment", "north"),
        ("flag", "checkout"),
        ("flag", "banner"),
    ]
    return tmp_path


def values(folder: Path, **attributes: Any) -> dict[str, Any]:
    """Return the value of each flag for a request."""
    text = str(attributes).replace("'", '"')
    return {each["flag"]: each["value"] for each in orita_json(folder, "flags", "evaluate", "--with", text)["flags"]}


def test_no_flags(tmp_path: Path) -> None:
    """Looking says what to do, and makes nothing."""
    assert "There are no flags yet" in run_orita(tmp_path, "flags", "list")
    assert orita_json(tmp_path, "flags", "evaluate") == {"flags": []}
    assert not (tmp_path / ".orita" / "control.db").exists()


def test_declared_shown_and_evaluated(declared: Path) -> None:
    """What was set is listed and shown as a file has it; the same file again changes nothing."""
    flags = orita_json(declared, "flags", "list")["flags"]
    assert [(each["key"], each["enabled"], each["rules"]) for each in flags] == [
        ("banner", True, 0),
        ("checkout", True, 1),
    ]
    shown = run_orita(declared, "flags", "show", "checkout")
    (declared / "again.yaml").write_text(shown)
    assert "already" in run_orita(declared, "flags", "set", str(declared / "again.yaml"))
    served = [values(declared, user_id=user, country="SE")["checkout"] for user in range(40)]
    assert set(served) == {True, False}
    assert values(declared, user_id=1, country="NO") == {"banner": "R", "checkout": False}


def test_the_kill_switch_and_back(declared: Path) -> None:
    """Off for everybody, on again, removed; every step is in the log, and a time before is restored."""
    told = orita_json(declared, "flags", "off", "checkout", "--reason", "it breaks")
    assert (told["enabled"], told["changed"], told["version"]) == (False, True, 2)
    assert not orita_json(declared, "flags", "off", "checkout")["changed"]
    assert not any(values(declared, user_id=user, country="SE")["checkout"] for user in range(40))
    assert "enabled" in run_orita(declared, "flags", "on", "checkout")
    run_orita(declared, "flags", "remove", "checkout", "--reason", "done")
    events = orita_json(declared, "control", "log", "--kind", "flag", "--name", "checkout")["events"]
    assert [each["type"] for each in events] == ["declared", "switched", "switched", "removed"]
    run_orita(declared, "control", "restore", str(events[0]["at"]), "--reason", "no", "--only", "flag/checkout")
    assert orita_json(declared, "flags", "show", "checkout")["version"] == 5


def test_names_that_look_like_markup(declared: Path) -> None:
    """They are shown as they are."""
    (declared / "odd.yaml").write_text('flags: [{key: "[bold]k"}]\nsegments: {"[/x]": {is: present, attribute: a}}')
    run_orita(declared, "flags", "set", str(declared / "odd.yaml"))
    assert "[/x]" in run_orita(declared, "control", "log")
    assert "[bold]k" in run_orita(declared, "control", "at", "now")


def test_a_whole_file(declared: Path) -> None:
    """What the file has not is removed."""
    (declared / "few.json").write_text('{"flags": [{"key": "banner2"}]}')
    run_orita(declared, "flags", "set", str(declared / "few.json"), "--whole")
    assert values(declared) == {"banner2": False}


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (["show", "chekout"], NotFound, r"there is no flag 'chekout'\. Did you mean 'checkout'\?"),
        (["evaluate", "chekout"], NotFound, "there is no flag 'chekout'"),
        (["evaluate", "--with", "7"], UserError, "--with is '7'"),
        (["set", "nothing.yaml"], UserError, "nothing.yaml cannot be read"),
        (["set", "{folder}/flags.yaml", "--expected", "1"], UserError, "has 2: leave it out"),
        (["off", "checkout", "--expected", "7"], UserError, r"at version 1 \(declared by .*\), expected 7"),
        (["remove", "nothing"], NotFound, "there is no flag 'nothing'"),
    ],
)
def test_wrong_words(declared: Path, arguments: list[str], error: type[Exception], sentence: str) -> None:
    """Each is refused with what is there or allowed, and nothing is changed."""
    with pytest.raises(error, match=sentence):
        run_orita(declared, "flags", *[each.format(folder=declared) for each in arguments])
    assert len(orita_json(declared, "control", "log")["events"]) == 3
