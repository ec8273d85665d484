"""Where registered packages lie, asked without MLflow: the same that the catalogue says."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

from tests.registry.registering import register

from orita.core.home import Home
from orita.registry.catalogue import Catalogue
from orita.registry.registered import registered_packages


def test_the_same_as_the_catalogue(catalogue: Catalogue, draft: Path) -> None:
    """Each registered version of the system has its folder, promoted or not; other systems have none."""
    assert registered_packages(catalogue, "feed") == {}
    first, second = register(catalogue, draft), register(catalogue, draft)
    catalogue.promote("feed", first.version, actor="ada", reason="test")
    found = registered_packages(catalogue, "feed")
    assert found == {first.version: first.package, second.version: second.package}
    assert all((folder / "model_metadata.json").is_file() for folder in found.values())
    assert registered_packages(catalogue, "fraud") == {}


def test_tables_of_another_version(catalogue: Catalogue, draft: Path) -> None:
    """Where MLflow's tables are others than ours expect, MLflow itself is asked."""
    registered = register(catalogue, draft)
    with mock.patch("orita.registry.registered._SQL", "SELECT version FROM tables_of_another_version WHERE ? = ?"):
        assert registered_packages(catalogue, "feed") == {registered.version: registered.package}


def test_an_empty_home(tmp_path: Path) -> None:
    """Asking a home without a registry makes none."""
    assert registered_packages(Catalogue(Home(tmp_path / "home")), "feed") == {}
    assert not (tmp_path / "home").exists()
