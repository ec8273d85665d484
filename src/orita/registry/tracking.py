"""MLflow underneath: its tracking store and registry on SQLite, in process, without a server."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orita.core.extras import require
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
    tracking = require("mlflow.tracking", extra="train")
    for name in ("alembic", "mlflow", "mlflow.store.db.utils"):  # MLflow sets its own levels as it is imported
        logging.getLogger(name).setLevel(logging.WARNING)
    address = f"sqlite:///{home.mlflow_db}"
    with _made_once(home):
        client: MlflowClient = tracking.MlflowClient(address, address)
        client.search_registered_models(max_results=1)
    return client


@contextmanager
def _made_once(home: Home) -> Iterator[None]:
    """Let one process at a time make or migrate the database."""
    home.root.mkdir(parents=True, exist_ok=True)
    with (home.root / "mlflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
