"""MLflow's tables, made by some 40 migrations once a process: every other registry on SQLite is a copy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orita.registry import tracking

__all__ = ["MIGRATE", "copied_registries"]

MIGRATE = tracking._make
"""What makes the tables where nobody put a copy: what tests of that very work put back."""


@contextmanager
def copied_registries(first: Path) -> Iterator[None]:
    """Let the first registry of this process be made at *first*, which takes seconds, and all be copies of it."""

    def copy(database: Path) -> None:
        if not first.exists():
            MIGRATE(first)
        shutil.copyfile(first, database)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking, "_make", copy)
        yield
