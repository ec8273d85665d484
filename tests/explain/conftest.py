"""One home with an answered request, for all tests of explaining and replaying: training it takes longest."""

from __future__ import annotations

import pytest
from tests.explain.served_home import served_home

from orita.models.package import Package
from orita.pipelines.workspace import Workspace


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Package]:
    """Return a home with one request, ``r1``, that a model of ids and features answered."""
    return served_home(tmp_path_factory.mktemp("served"))
