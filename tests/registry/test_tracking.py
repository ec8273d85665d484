"""MLflow's database is made whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.store.db import utils
from tests.registry_copies import MIGRATE

from orita.core.home import Home
from orita.registry import tracking
from orita.registry.tracking import mlflow_client


def test_a_kill_while_the_tables_are_made_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow cannot go on from the middle of its migrations; the next call begins again and succeeds."""
    home = Home(tmp_path / "home")
    monkeypatch.setattr(tracking, "_make", MIGRATE)

    def killed(_engine: object) -> None:
        raise SystemExit(9)

    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".partial-killed.db").touch()

    with monkeypatch.context() as patch:
        patch.setattr(utils, "_upgrade_db", killed)  # the first tables are there, none of the migrations
        with pytest.raises(SystemExit):
            mlflow_client(home)
    assert not home.mlflow_db.exists()
    assert mlflow_client(home).search_runs(["0"]) == []
    assert sorted(path.name for path in home.root.iterdir()) == ["mlflow.db", "mlflow.lock"]
