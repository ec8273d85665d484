"""Real packages on disk behind the protocol: one that knows ids, one with several heads, one of features alone."""

from __future__ import annotations

import pytest
from tests.models.clicks import SCHEMA

from orita.models.package import Package, load_package, write_package
from orita.serving.inference_protocol.models import FixedModels


def _written(tmp_path_factory: pytest.TempPathFactory, type_: str) -> Package:
    pytest.importorskip("torch", reason="the extra 'train' is not installed: there is no package to serve")
    from tests.models.packaged import CARD, fitted

    ranker, rows = fitted(type_)
    folder = tmp_path_factory.mktemp(type_) / "v1.2.3"
    write_package(folder, ranker, CARD, SCHEMA, rows)
    return load_package(folder)


@pytest.fixture(scope="session")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A two-tower model, which knows users and items by number."""
    return _written(tmp_path_factory, "two_tower")


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Boosted trees, which know no ids."""
    return _written(tmp_path_factory, "lightgbm")


@pytest.fixture(scope="session")
def headed(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A model of clicks, likes and seconds."""
    pytest.importorskip("torch", reason="the extra 'train' is not installed: there is no package to serve")
    from tests.models.outcomes import headed_package

    folder = tmp_path_factory.mktemp("headed") / "v1.2.3"
    headed_package(folder)
    return load_package(folder)


@pytest.fixture(scope="session")
def models(feed: Package, headed: Package, plain: Package) -> FixedModels:
    """All three, by name."""
    return FixedModels({"feed": feed, "headed": headed, "plain": plain})
