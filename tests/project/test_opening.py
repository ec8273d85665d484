"""Opening a project: where its state lives, and what of its files and its environment is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from orita.core.errors import UserError
from orita.features.keys import encode_id
from orita.models.build import RANKERS
from orita.models.config import MODEL_TYPES
from orita.project import open_project


@pytest.fixture(autouse=True)
def no_home_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own environment names no home."""
    monkeypatch.delenv("ORITA_HOME", raising=False)


def test_state_lives_in_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The home is .orita in the project's folder; ``ORITA_HOME``, and before it an argument, say otherwise."""
    monkeypatch.chdir(tmp_path)
    shop = tmp_path / "shop"
    shop.mkdir()
    assert open_project(Path("shop")).home.root == shop / ".orita"
    assert open_project().home.root == tmp_path / ".orita"
    monkeypatch.setenv("ORITA_HOME", "state")
    assert open_project(shop).home.root == tmp_path / "state"
    assert open_project(shop, home=Path("given")).home.root == tmp_path / "given"


def test_the_environment_sets_every_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys outside sections are set like all others, and a variable for one file is no fault of another."""
    for name, value in {
        "ORITA_SYSTEM": "movielens",
        "ORITA_BESIDE": "[popularity]",
        "ORITA_SEED": "7",
        "ORITA_WINDOW_HOURS": "3",
        "ORITA_SERVING__PORT": "9000",
        "ORITA_SMTP_PASSWORD": "secret",
    }.items():
        monkeypatch.setenv(name, value)
    project = open_project(tmp_path)
    assert project.system.name == "movielens"
    assert (project.model.value.beside, project.model.value.seed) == (("popularity",), 7)
    assert (project.monitoring.value.window_hours, project.main.value.serving.port) == (3, 9000)


def test_a_variable_of_no_section_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt section in a variable's name is an error that names the variable and the closest section."""
    monkeypatch.setenv("ORITA_TRAINIG__EPOCHS", "5")
    with pytest.raises(UserError) as caught:
        open_project(tmp_path)
    assert (
        str(caught.value)
        == "environment ORITA_TRAINIG__EPOCHS: 'trainig' is not a known section. Did you mean 'training'?"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model: {type: two_towr}", "'model.type' in .* 'two_towr': .*Did you mean 'two_tower'"),
        ("beside: [popularty]", "'beside.0' in .* 'popularty': .*Did you mean 'popularity'"),
    ],
)
def test_an_unknown_type_of_model_is_refused_when_the_file_is_read(tmp_path: Path, text: str, says: str) -> None:
    """A misspelt type is told before anything is trained, with the file and the closest type."""
    (tmp_path / "model_config.yaml").write_text(text)
    with pytest.raises(UserError, match=says):
        open_project(tmp_path)


def test_each_type_that_a_file_may_name_can_be_built() -> None:
    """The types that are allowed are those that have a builder."""
    assert set(MODEL_TYPES) == set(RANKERS)


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1])
def test_a_number_that_fits_no_key_is_refused(value: int) -> None:
    """An id that does not fit 64 bits is told with its range; the largest and the smallest that fit are taken."""
    assert encode_id((1 << 63) - 1) > encode_id(-(1 << 63))
    with pytest.raises(UserError, match="ids that are numbers go from -9223372036854775808 to 9223372036854775807"):
        encode_id(value)
