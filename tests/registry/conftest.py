"""Registries to test: empty ones on SQLite and on a real PostgreSQL, made once and copied; and a small package."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from orita.core.home import Home
from orita.core.progress import SILENT
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.build import build_ranker
from orita.models.config import ModelSection, TrainingSection
from orita.models.examples import Examples
from orita.models.metadata import ModelMetadata
from orita.models.package import write_package
from orita.models.ranker import FitContext
from orita.registry.catalogue import Catalogue
from orita.registry.config import RegistryConfig
from orita.registry.tracking import mlflow_client

SCHEMA = FeatureSchema(
    (
        FeatureColumn("item_ctr", "item", arrow="double"),
        FeatureColumn("item_popularity", "item", "count", arrow="int64"),
    )
)
_numbers = itertools.count()


@pytest.fixture(scope="session")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small trained package."""
    rng = np.random.default_rng(0)
    rows = Examples(
        SCHEMA,
        rng.integers(0, 9, 200),
        rng.integers(0, 9, 200),
        rng.random((200, 2), np.float32),
        rng.integers(0, 2, 200).astype(np.float32),
        np.arange(200),
    )
    ranker = build_ranker("popularity", ModelSection(), TrainingSection())
    ranker.fit(rows, rows, FitContext(SILENT))
    folder = tmp_path_factory.mktemp("draft") / "package"
    write_package(folder, ranker, ModelMetadata("id", "v0.0.0", "2024-01-01T00:00:00Z", "", "popularity"), SCHEMA, rows)
    return folder


@pytest.fixture(scope="session")
def postgres_template(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the name of a database with an empty registry."""
    create_database(postgres, "template_orita")
    config = RegistryConfig(tracking_uri=f"{postgres}/template_orita")
    client = mlflow_client(Home(tmp_path_factory.mktemp("template") / "home"), config)
    for store in (client._tracking_client.store, client._get_registry_client().store):
        store.engine.dispose()  # a template has no guests
    return "template_orita"


@pytest.fixture(params=["sqlite", "postgres"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Catalogue:
    """Return an empty registry in a home of its own, once on SQLite and once on PostgreSQL."""
    make: Callable[[Path], Catalogue] = request.getfixturevalue(f"{request.param}_catalogue")
    return make(tmp_path / "home with spaces")


@pytest.fixture(scope="session")
def sqlite_catalogue() -> Callable[[Path], Catalogue]:
    """Return a function that makes an empty registry on SQLite."""

    def make(root: Path) -> Catalogue:
        mlflow_client(Home(root))
        return Catalogue(Home(root))

    return make


@pytest.fixture(scope="session")
def postgres_catalogue(postgres: str, postgres_template: str) -> Callable[[Path], Catalogue]:
    """Return a function that makes an empty registry on PostgreSQL."""

    def make(root: Path) -> Catalogue:
        name = f"registry_{next(_numbers)}"
        create_database(postgres, name, template=postgres_template)
        return Catalogue(Home(root), config=RegistryConfig(tracking_uri=f"{postgres}/{name}"))

    return make


def create_database(server: str, name: str, template: str = "template0") -> None:
    """Make a database as a copy of another."""
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
