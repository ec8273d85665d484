"""Configuration: what wins, what is refused, and that each value knows where it came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from orita.core.config import Section, load
from orita.core.errors import UserError


class Inner(Section):
    """A nested section."""

    threshold: float = 0.1
    names: tuple[str, ...] = ()


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
    ],
)
def test_a_wrong_value_is_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    """A wrong type, a wrong shape and broken YAML are one sentence that names the key or the file."""
    with pytest.raises(UserError) as caught:
        load(Root, write(tmp_path, text), environment={})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_override_needs_a_value() -> None:
    """``--set key`` without a value says how to write it."""
    with pytest.raises(UserError, match="key=value"):
        load(Root, overrides=["epochs"], environment={})


def test_an_override_replaces_a_whole_branch_of_origins(tmp_path: Path) -> None:
    """What an override replaces no longer claims to come from the file."""
    file = write(tmp_path, "training: {names: [a, b]}\n")
    loaded = load(Root, file, overrides=["training.names=[c]"], environment={})
    assert loaded.value.training.names == ("c",)
    assert "option --set training.names" in {setting.origin for setting in loaded.settings}
