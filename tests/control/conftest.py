"""Control state in each database that it may be kept in: every test here passes in both."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Return where control state is kept: nowhere yet."""
    if request.param == "sqlite":
        return tmp_path / "control.db"
    address: str = request.getfixturevalue("empty_database")
    return address
