"""A training that ran once, to be looked at or, as a copy, to be changed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.pipelines.components.small_training import ALL, prepared, run_training

from orita.core.home import Home
from orita.pipelines.workspace import Workspace


@pytest.fixture(scope="package")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Surroundings in which a training ran; they are only read."""
    workspace = prepared(tmp_path_factory.mktemp("trained"))
    assert run_training(workspace) == dict.fromkeys(ALL, "success")
    return workspace


@pytest.fixture
def own(trained: Workspace, tmp_path: Path) -> Workspace:
    """The same in a copy of the home, to be changed."""
    shutil.copytree(trained.home.root, tmp_path / "home")
    return replace(trained, home=Home(tmp_path / "home"))
