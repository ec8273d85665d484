"""Declarations are read strictly, written back equal, and say what may change without losing what was learnt."""

from __future__ import annotations

import doctest
from pathlib import Path

import msgspec
import pytest

from orita.core.errors import NotFound, UserError
from orita.delivery.bandits import UCB1, BernoulliThompson, HalfLife, LinearThompson, LinUCB, declaration_files
from orita.delivery.bandits.declaration_files import read_bandits, write_bandits
from orita.delivery.bandits.declarations import BanditDeclaration, check_bandit, features_wanted
from orita.delivery.bandits.kept import Bandits

WHOLE = """
bandits:
  - key: title
    description: of the front page
    policy: {type: bernoulli_thompson, successes: 1, failures: 9}
    arms: [short, on, "12"]
    discount: {type: half_life, seconds: 86400}
    wait_seconds: 3600
    unrewarded: 0
    seed: 7
  - {key: layout, policy: {type: lin_ucb, alpha: 0.5}, features: [mobile, evening], missing: zero, arms: [grid, list]}
"""
PLAIN = BanditDeclaration(key="title", policy=BernoulliThompson(), arms=("a", "b"))


def test_what_is_written_is_read_back() -> None:
    """YAML and JSON give the same back; a linear policy counts its features, and 'on' is a word."""
    file = read_bandits(WHOLE)
    assert file.bandits[0].arms == ("short", "on", "12")
    assert file.bandits[0].discount == HalfLife(86_400)
    assert features_wanted(file.bandits[1].policy) == 2
    assert read_bandits(write_bandits(file)) == file
    assert read_bandits(write_bandits(file, "json"), "json") == file
    assert doctest.testmod(declaration_files).failed == 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("key: Title", "is not a name"),
        ("arms: []", "arms has none"),
        ("arms: [a, a]", "'a' twice"),
        ("arms: [1, 2]", "Put quotes"),
        ("arms: ['']", "of 0 characters"),
        ("policy: {type: best}", "best"),
        ("policy: {type: ucb1, beta: 2}", "beta"),
        ("policy: {type: epsilon_greedy, epsilon: 2}", "epsilon 2"),
        ("policy: {type: epsilon_greedy, initial: .inf}", "initial is infinite"),
        ("policy: {type: lin_ucb}", "features names 0"),
        ("policy: {type: lin_ucb, shared: true}\n    features: [x]", "shared: false"),
        ("policy: {type: lin_ucb, features: 3}\n    features: [x]", "policy.features is 3"),
        ("features: [x]", "the policy takes none"),
        ("rewards: [1, 0]", r"rewards is \[1, 0\]"),
        ("rewards: [0, 2]", r"rewards is \[0, 2\]"),
        ("rewards: [.nan, 1]", "finite"),
        ("unrewarded: 2", "unrewarded is 2"),
        ("wait_seconds: 0", "wait_seconds is 0"),
        ("most_open: 0", "most_open is 0"),
        ("seed: -1", "seed is -1"),
        ("arm: [a]", "arm"),
    ],
)
def test_what_contradicts_itself_is_refused(change: str, sentence: str) -> None:
    """The sentence says what is wrong."""
    fields = {"key": "title", "policy": "{type: bernoulli_thompson}", "arms": "[a, b]"}
    name, _, value = change.partition(": ")
    text = "\n    ".join(f"{key}: {told}" for key, told in (fields | {name: value}).items())
    with pytest.raises(UserError, match=sentence):
        read_bandits(f"bandits:\n  - {text}")


@pytest.mark.parametrize("text", ["bandits: {", "[" * 1_200, "[1]", b"\xff", "bandits: [{key: a}]"])
def test_what_is_no_file_of_bandits_is_refused(text: str | bytes) -> None:
    """Whatever it is, a sentence comes of it."""
    with pytest.raises(UserError, match=r"cannot be read|too deep"):
        read_bandits(text)


def test_a_bandit_that_needs_too_much_memory_is_refused() -> None:
    """Arms times features squared have a bound; a thousand arms, or 500 features, may be named alone."""
    for arms, features, taken in ((1_000, 500, False), (1_000, 71, False), (1_000, 70, True), (20, 500, True)):
        declared = BanditDeclaration(
            key="title",
            policy=LinUCB(features),
            arms=tuple(map(str, range(arms))),
            features=tuple(f"x{number}" for number in range(features)),
        )
        if taken:
            check_bandit(declared)
            continue
        with pytest.raises(UserError, match=r"arms times features squared: allowed are 5,000,000"):
            check_bandit(declared)


def test_a_key_is_there_once() -> None:
    """A second bandit of a key is refused."""
    one = "{key: a, policy: {type: ucb1}, arms: [b]}"
    with pytest.raises(UserError, match="'a' is there twice"):
        read_bandits(f"bandits: [{one}, {one}]")


@pytest.mark.parametrize(
    ("change", "stays"),
    [
        ({"arms": ("c",)}, True),
        ({"policy": BernoulliThompson(1, 9)}, True),
        ({"policy": UCB1()}, False),  # it takes rewards above 1
        ({"description": "x", "seed": 1, "rewards": (0.0, 0.5), "missing": "zero"}, True),
        ({"policy": LinearThompson(1), "features": ("x",)}, False),
        ({"discount": HalfLife(60)}, False),
        ({"wait_seconds": 60.0}, False),
        ({"unrewarded": 0.0}, False),
        ({"most_open": 5}, False),
    ],
)
def test_what_was_learnt_stays_where_sums_do(change: dict[str, object], stays: bool) -> None:
    """Only what decides on the sums of feedback makes a bandit begin anew."""
    assert (msgspec.structs.replace(PLAIN, **change).learning == PLAIN.learning) is stays


def test_control_state_keeps_them(tmp_path: Path) -> None:
    """Declared, changed, removed, each once; all of a file or nothing."""
    bandits = Bandits(tmp_path / "control.db")
    file = read_bandits(WHOLE)
    made = bandits.declare(file, actor="ana", reason="first")
    assert [(each.name, each.version) for each in made] == [("title", 1), ("layout", 1)]
    assert not bandits.declare(file, actor="ana", reason="again")
    assert bandits.get("layout").state == file.bandits[1]
    assert bandits.followed()[1] == {each.key: each for each in file.bandits}
    wrong = msgspec.structs.replace(file, bandits=(PLAIN, msgspec.structs.replace(PLAIN, key="other", arms=())))
    with pytest.raises(UserError, match="'other'"):
        bandits.declare(wrong, actor="ana", reason="")
    assert bandits.get("title").version == 1
    one = msgspec.structs.replace(file, bandits=(PLAIN,))
    with pytest.raises(UserError, match="expected 7"):
        bandits.declare(one, actor="ana", reason="", expected=7)
    made = bandits.declare(one, actor="ana", reason="", expected=1, whole=True)
    assert [(each.name, each.type) for each in made] == [("title", "declared"), ("layout", "removed")]
    bandits.remove("title", actor="ana", reason="done")
    assert not bandits.all()
    with pytest.raises(NotFound, match="titel"):
        bandits.remove("titel", actor="ana", reason="")
    assert [each.type for each in bandits.history("title")] == ["declared", "declared", "removed"]
