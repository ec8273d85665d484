"""Configuration: what wins, what is refused, and that each value knows where it came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from orita.core.config import Section, load
from orita.core.errors import UserError


class Deeper(Section):
    """A section in a section."""

    width: int = 3


class Inner(Section):
    """A nested section."""

    threshold: float = 0.1
    names: tuple[str, ...] = ()
    deeper: Deeper = Deeper()


class Root(Section):
    """A file."""

    training: Inner = Inner()
    epochs: int = 20


def write(folder: Path, text: str) -> Path:
    """Write a configuration file and return its path."""
    path = folder / "model_config.yaml"
    path.write_text(text)
    return path


def test_later_origins_win(tmp_path: Path) -> None:
    """Overrides win over the environment, that over the file, that over defaults; each value says which it was."""
    file = write(tmp_path, "training: {threshold: 0.2, names: [a]}\nepochs: 5\n")
    loaded = load(Root, file, overrides=["epochs=7"], environment={"ORITA_TRAINING__THRESHOLD": "0.3"})
    assert loaded.value == Root(training=Inner(threshold=0.3, names=("a",)), epochs=7)
    origins = {setting.key: setting.origin for setting in loaded.settings}
    assert origins == {
        "training.threshold": "environment ORITA_TRAINING__THRESHOLD",
        "training.names": str(file),
        "training.deeper.width": "default",
        "epochs": "option --set epochs",
    }


def test_defaults_need_no_file(tmp_path: Path) -> None:
    """An absent file is a file of defaults."""
    loaded = load(Root, tmp_path / "absent.yaml", environment={})
    assert loaded.value == Root()
    assert {setting.origin for setting in loaded.settings} == {"default"}


def test_an_unknown_key_names_the_file_and_the_closest_key(tmp_path: Path) -> None:
    """A misspelt key is an error that names the key, the file and the closest known key."""
    file = write(tmp_path, "training: {treshold: 0.2}\n")
    with pytest.raises(UserError) as caught:
        load(Root, file, environment={})
    assert "training.treshold" in str(caught.value)
    assert str(file) in str(caught.value)
    assert "'threshold'" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("epochs: many", "'epochs'"),
        ("[1, 2]", "holds a list"),
        ("training: [", "not valid YAML"),
        ("training: 3", "'training'"),
        ("training: 3", "expected keys and values."),
        ("training: {names: a}", "expected a list."),
        ("epochs: 5\ntraining: {}\nepochs: 6", "the key 'epochs' is there twice in line 3"),
        ("training:\n  threshold: 0.2\n  threshold: 0.3", "the key 'threshold' is there twice in line 3"),
        ("epochs: 2024-13-45", "not valid YAML"),
        ("[" * 5000, "too deep"),
    ],
)
def test_a_wrong_value_is_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    """A wrong type, a wrong shape and broken YAML are one sentence that names the key or the file."""
    with pytest.raises(UserError) as caught:
        load(Root, write(tmp_path, text), environment={})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Inner" not in str(caught.value)


@pytest.mark.parametrize("name", ["ORITA_TRAINING__NAMES", "ORITA_EPOCHS"])
def test_broken_yaml_in_the_environment_or_an_override_is_one_sentence(name: str) -> None:
    """A bracket without its partner is an error that names the variable or the option."""
    with pytest.raises(UserError, match=f"environment {name} is not valid YAML"):
        load(Root, environment={name: "["})
    with pytest.raises(UserError, match=r"option --set training\.names is not valid YAML"):
        load(Root, overrides=["training.names=["], environment={})


def test_a_file_that_is_a_folder_is_one_sentence(tmp_path: Path) -> None:
    """What cannot be read as a file is an error that names it and what the system says."""
    (tmp_path / "model_config.yaml").mkdir()
    with pytest.raises(UserError, match=r"model_config\.yaml cannot be read: Is a directory"):
        load(Root, tmp_path / "model_config.yaml", environment={})


def test_the_environment_sets_keys_outside_sections(tmp_path: Path) -> None:
    """``ORITA_EPOCHS`` sets ``epochs``, and wins over the file."""
    loaded = load(Root, write(tmp_path, "epochs: 5\n"), environment={"ORITA_EPOCHS": "6", "ORITA_HOME": "/state"})
    assert loaded.value.epochs == 6
    assert {s.key: s.origin for s in loaded.settings}["epochs"] == "environment ORITA_EPOCHS"


@pytest.mark.parametrize("text", ["training:\n", "training: null\n", "training: {deeper: null}\n"])
def test_an_empty_section_means_defaults(tmp_path: Path, text: str) -> None:
    """A heading with nothing below it is a section of defaults, at every depth."""
    loaded = load(Root, write(tmp_path, text), environment={})
    assert loaded.value == Root()
    assert {setting.origin for setting in loaded.settings} == {"default"}


def test_an_override_needs_a_value() -> None:
    """``--set key`` without a value says how to write it."""
    with pytest.raises(UserError, match="key=value"):
        load(Root, overrides=["epochs"], environment={})


@pytest.mark.parametrize("held", ["[1, 2]", "hello", "5"])
def test_an_override_below_what_has_no_keys_loses_nothing_unseen(tmp_path: Path, held: str) -> None:
    """The file is wrong, whatever is set beside it; a heading without a value is not."""
    file = write(tmp_path, f"training: {held}")
    for overrides, environment in ((["training.threshold=0.2"], {}), ([], {"ORITA_TRAINING__THRESHOLD": "0.2"})):
        with pytest.raises(UserError, match=r"^'training' in .*\.yaml has the value .*, expected keys and values"):
            load(Root, file, overrides=overrides, environment=environment)
    file = write(tmp_path, "training:")
    assert load(Root, file, overrides=["training.threshold=0.2"], environment={}).value.training.threshold == 0.2


def test_an_override_replaces_a_whole_branch_of_origins(tmp_path: Path) -> None:
    """What an override replaces no longer claims to come from the file."""
    file = write(tmp_path, "training: {names: [a, b]}\n")
    loaded = load(Root, file, overrides=["training.names=[c]"], environment={})
    assert loaded.value.training.names == ("c",)
    assert "option --set training.names" in {setting.origin for setting in loaded.settings}
