"""The registry as a server asks it: what a promotion is told, and what becomes of its failures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from orita.cli.app import Settings
from orita.cli.model_registry import ProjectRegistry
from orita.core.errors import Unavailable, UserError
from orita.project import open_project


def registry(folder: Path) -> ProjectRegistry:
    """Return the registry of the project in *folder*, whose server was started with two settings."""
    overrides = ["serving.port=0", "training.epochs=1"]
    return ProjectRegistry(open_project(folder, overrides=overrides), Settings(overrides=overrides, system="feed"))


def ended(code: int, errors: str = "") -> mock._patch[mock.Mock]:
    """Let every process end with *code*."""
    return mock.patch("subprocess.run", return_value=subprocess.CompletedProcess([], code, "", errors))


def test_a_promotion_is_the_command(tmp_path: Path) -> None:
    """It is run for the same project and home, with the server's settings, and with the reason."""
    with ended(0) as run:
        registry(tmp_path).promote("v1.2.0", reason="asked")
    home = str(tmp_path / ".orita")
    assert run.call_args.args[0] == [
        sys.executable, "-m", "orita", "--quiet", "--project", str(tmp_path), "--home", home, "--system", "feed",
        "--set", "serving.port=0", "--set", "training.epochs=1", "models", "promote", "v1.2.0", "--reason", "asked",
    ]  # fmt: skip


def test_what_it_refuses_is_told(tmp_path: Path) -> None:
    """Exit code 2 is the caller's to mend, with its sentence; another, or no end, is the server's."""
    with ended(2, "a line before\nerror: its package is damaged.\n"), pytest.raises(UserError, match="is damaged"):
        registry(tmp_path).promote("v1.2.0", reason="asked")
    with ended(1, "Traceback"), pytest.raises(Unavailable, match="ended with 1"):
        registry(tmp_path).promote("v1.2.0", reason="asked")
    never = mock.patch("subprocess.run", side_effect=subprocess.TimeoutExpired([], 120))
    with never, pytest.raises(Unavailable, match="more than 120 seconds"):
        registry(tmp_path).promote("v1.2.0", reason="asked")


def test_a_real_command_that_refuses(tmp_path: Path) -> None:
    """The sentence of a version that is not there is one sentence, without what surrounds it on a screen."""
    with pytest.raises(UserError) as error:
        registry(tmp_path).promote("v9.9.9", reason="asked")
    assert "has no model" in str(error.value)
    assert "\n" not in str(error.value)
