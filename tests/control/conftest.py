"""Control state in each database that it may be kept in: every test here passes in both."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest


@pytest.fixture(scope="session")
def control_database(postgres: str) -> str:
    """Return the address of a PostgreSQL database of this process."""
    with psycopg.connect(f"{postgres}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE control")
    return f"{postgres}/control"


@pytest.fixture
def empty_database(control_database: str) -> str:
    """Return the address of that database, with nothing in it."""
    with psycopg.connect(control_database, autocommit=True) as connection:  # one a test takes half a second to go
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return control_database


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Return where control state is kept: nowhere yet."""
    if request.param == "sqlite":
        return tmp_path / "control.db"
    address: str = request.getfixturevalue("empty_database")
    return address
