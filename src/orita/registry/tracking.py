"""MLflow underneath: its tracking store and registry on SQLite, in process, without a server."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orita.core.extras import require
from orita.core.files import atomic_file, remove_leftovers
from orita.core.home import Home

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

__all__ = ["mlflow_client"]


def mlflow_client(home: Home) -> MlflowClient:
    """Return MLflow's client on this home's database; the first call makes it.

    Raises:
        MissingExtra: MLflow is not installed.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    require("mlflow.tracking", extra="train")
    for name in ("alembic", "mlflow", "mlflow.store.db.utils"):  # MLflow sets its own levels as it is imported
        logging.getLogger(name).setLevel(logging.WARNING)
    with _made_once(home):
        if not home.mlflow_db.exists():
            _make(home.mlflow_db)
        return _open(home.mlflow_db)


def _make(database: Path) -> None:
    """Make MLflow's tables, all or none: it runs some 40 migrations and cannot go on from the middle."""
    remove_leftovers(database.parent, database.suffix)
    with atomic_file(database) as partial:
        _open(partial)._tracking_client.store.engine.dispose()


def _open(database: Path) -> MlflowClient:
    tracking = require("mlflow.tracking", extra="train")
    address = f"sqlite:///{database}"
    client: MlflowClient = tracking.MlflowClient(address, address)
    client.search_registered_models(max_results=1)  # the registry's half opens at its first use
    return client


@contextmanager
def _made_once(home: Home) -> Iterator[None]:
    """Let one process at a time make or open the database."""
    home.root.mkdir(parents=True, exist_ok=True)
    with (home.root / "mlflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
