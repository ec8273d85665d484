"""New values in a YAML file that somebody wrote."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from orita.core.errors import UserError
from orita.models.search.yaml_edit import edited_yaml, yaml_lines

WRITTEN = """\
# What is trained.
model:
  type: two_tower   # or lightgbm
  user_tower_dims:
    - 256
    - 128
  lightgbm: {num_leaves: 31, patience: 20}  # trees

# How.
training:
  batch_size: 4096
  learning_rate: "0.002"

search:
  trials: 8
"""


def test_values_are_replaced_where_they_stand() -> None:
    """Every line that no value changes is as it was, comments and blank lines too."""
    values = {
        "model.type": "lightgbm",
        "model.user_tower_dims": [64, 32],
        "model.lightgbm.num_leaves": 63,
        "training.learning_rate": 1e-05,
    }
    edited = edited_yaml(WRITTEN, values)
    assert "  type: lightgbm   # or lightgbm\n" in edited
    assert "  lightgbm: {num_leaves: 63, patience: 20}  # trees\n\n# How.\n" in edited
    assert "  learning_rate: 1.0e-05\n\nsearch:\n" in edited
    assert yaml.safe_load(edited)["model"]["user_tower_dims"] == [64, 32]
    assert yaml.safe_load(edited)["training"]["learning_rate"] == 1e-05


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("model.dropout", "  lightgbm: {num_leaves: 31, patience: 20}  # trees\n  dropout: 0.1\n\n# How.\n"),
        ("model.lightgbm.lambda_l2", "{num_leaves: 31, patience: 20, lambda_l2: 0.1}  # trees\n"),
        ("training.early_stopping.min_delta", '"0.002"\n  early_stopping:\n    min_delta: 0.1\n\nsearch:\n'),
        ("evaluation.confidence", "  trials: 8\nevaluation:\n  confidence: 0.1\n"),
    ],
)
def test_keys_that_are_not_there_are_added_to_their_section(key: str, line: str) -> None:
    """A new key stands at the end of its section, a new section at the end of the file."""
    assert line in edited_yaml(WRITTEN, {key: 0.1})


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "training:\n", "training:   # soon\n", "model: {}\n", "a: 1"])
def test_files_with_little_in_them(text: str) -> None:
    """An empty file, a bare heading and a last line without an end all take a value."""
    edited = edited_yaml(text, {"training.epochs": 3})
    assert yaml.safe_load(edited)["training"] == {"epochs": 3}
    assert all(line in edited for line in text.splitlines() if line.startswith("#"))


def test_line_endings_are_kept() -> None:
    """A file of another system keeps its line endings, in added lines too."""
    edited = edited_yaml(WRITTEN.replace("\n", "\r\n"), {"model.dropout": 0.1, "model.type": "linear"})
    assert "\n" not in edited.replace("\r\n", "")


@pytest.mark.parametrize(
    "text",
    [
        "base: &shared {epochs: 3}\ntraining: *shared\n",  # the other place would change too
        "training:\n  epochs:\n    - 1  # the first\n    - 2\n",  # the comment would be lost
        "training: 5\n",
    ],
)
def test_what_would_lose_something_is_refused(text: str) -> None:
    """An edit that would change another key or drop a comment is not given out."""
    with pytest.raises(UserError, match=r"training\.epochs has no place"):
        edited_yaml(text, {"training.epochs": 9})


def test_values_as_lines_of_their_own() -> None:
    """What cannot be written is given as YAML that says the same."""
    values: dict[str, Any] = {"model.type": "linear", "model.user_tower_dims": [8], "training.epochs": 3}
    assert yaml.safe_load(yaml_lines(values)) == {
        "model": {"type": "linear", "user_tower_dims": [8]},
        "training": {"epochs": 3},
    }
