"""``orita``, as a process or within this one, on a world small enough for a test."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from orita.cli import main

SMALL = (
    "data_generation.num_users=300",
    "data_generation.num_items=400",
    "data_generation.num_interactions=20000",
    "training.epochs=2",
    "training.batch_size=2048",
    "model.user_tower_dims=[32]",
    "model.item_tower_dims=[32]",
    "model.embedding_dim=16",
    "model.lightgbm.max_trees=20",
    "model.lightgbm.threads=1",
)
SETTINGS = [part for item in SMALL for part in ("--set", item)]


def command(*arguments: str) -> list[str]:
    """Return the command line of ``orita`` on the small world."""
    return [sys.executable, "-m", "orita", "--quiet", *SETTINGS, *arguments]


def orita(folder: Path, *arguments: str, code: int = 0) -> str:
    """Run a command in *folder*, check its exit code, and return what it printed."""
    done = subprocess.run(
        command(*arguments), cwd=folder, env=_environment(), capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == code, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stderr


def orita_inside(folder: Path, *arguments: str, code: int = 0) -> str:
    """Do as `orita` does without starting a process, which takes seconds; errors that nobody foresaw are raised.

    With an exit code other than 0 that is what was said of the error; where nothing was, what was found.
    """
    out, errors, found = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, _environment(), clear=True),
        mock.patch.object(sys, "argv", command(*arguments)[2:]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
    ):
        try:
            main()
        except SystemExit as ended:
            found = int(ended.code or 0)
    assert found == code, f"{arguments}: exit {found}\n{out.getvalue()}\n{errors.getvalue()}"
    return out.getvalue() if code == 0 else errors.getvalue() or out.getvalue()


def orita_json(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a command with ``--json`` and return its result."""
    found: dict[str, Any] = json.loads(orita(folder, *arguments, "--json").splitlines()[-1])
    return found


def told(folder: Path, *arguments: str) -> dict[str, Any]:
    """Do as `orita_json` does without starting a process."""
    found: dict[str, Any] = json.loads(orita_inside(folder, *arguments, "--json").splitlines()[-1])
    return found


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ORITA_")}
