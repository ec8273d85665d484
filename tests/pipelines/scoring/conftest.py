"""A home with a model that serves, to be scored with or, as a copy, to be changed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.pipelines.scoring.small_scoring import served_home

from orita.core.home import Home
from orita.pipelines.workspace import Workspace


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Surroundings with events and a champion; they are only read."""
    return served_home(tmp_path_factory.mktemp("served"))


@pytest.fixture
def own(served: Workspace, tmp_path: Path) -> Workspace:
    """The same in a copy of the home, to be changed."""
    shutil.copytree(served.home.root, tmp_path / "home")
    return replace(served, home=Home(tmp_path / "home"))
