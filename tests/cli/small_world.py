"""``orita`` as a process, on a world small enough for a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SMALL = (
    "data_generation.num_users=300",
    "data_generation.num_items=400",
    "data_generation.num_interactions=20000",
    "training.epochs=2",
    "training.batch_size=2048",
    "model.user_tower_dims=[32]",
    "model.item_tower_dims=[32]",
    "model.embedding_dim=16",
)
SETTINGS = [part for item in SMALL for part in ("--set", item)]


def command(*arguments: str) -> list[str]:
    """Return the command line of ``orita`` on the small world."""
    return [sys.executable, "-m", "orita", "--quiet", *SETTINGS, *arguments]


def orita(folder: Path, *arguments: str, code: int = 0) -> str:
    """Run a command in *folder*, check its exit code, and return what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORITA_")}
    done = subprocess.run(
        command(*arguments), cwd=folder, env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == code, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stderr


def orita_json(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a command with ``--json`` and return its result."""
    found: dict[str, Any] = json.loads(orita(folder, *arguments, "--json").splitlines()[-1])
    return found
