"""Control state in each database that it may be kept in: every test here passes in both."""

from __future__ import annotations

import itertools
from pathlib import Path

import psycopg
import pytest

_NUMBERS = itertools.count()


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Return where control state is kept: nowhere yet."""
    if request.param == "sqlite":
        return tmp_path / "control.db"
    address, name = request.getfixturevalue("postgres"), f"control_{next(_NUMBERS)}"
    with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"{address}/{name}"
