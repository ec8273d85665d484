"""MLflow underneath: its tracking store and registry, in process on SQLite or PostgreSQL, or a server of it."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orita.core.errors import Unavailable
from orita.core.extras import require
from orita.core.files import atomic_file, remove_leftovers
from orita.core.home import Home
from orita.registry.config import RegistryConfig
from orita.registry.indexes import ensure_indexes

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

__all__ = ["mlflow_client"]

_LOCK = 0x4F52495441  # "ORITA"; PostgreSQL frees it when the process that holds it ends


def mlflow_client(home: Home, config: RegistryConfig | None = None) -> MlflowClient:
    """Return MLflow's client on the store that *config* names, by default the home's; the first call makes it.

    Raises:
        MissingExtra: MLflow, or the driver of the database, is not installed.
        Unavailable: the database or the server does not answer.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    require("mlflow.tracking", extra="train")
    for name in ("alembic", "mlflow", "mlflow.store.db.utils"):  # MLflow sets its own levels as it is imported
        logging.getLogger(name).setLevel(logging.WARNING)
    address = config.tracking_uri if config else None
    with _made_once(home):
        if address is not None:
            return _reach(address)
        if not home.mlflow_db.exists():
            _make(home.mlflow_db)
        return _open(f"sqlite:///{home.mlflow_db}")


def _make(database: Path) -> None:
    """Make MLflow's tables, all or none: it runs some 40 migrations and cannot go on from the middle."""
    remove_leftovers(database.parent, database.suffix)
    with atomic_file(database) as partial:
        _open(f"sqlite:///{partial}")._tracking_client.store.engine.dispose()


def _reach(address: str) -> MlflowClient:
    """Open the store at *address*, which is not ours: it may be away."""
    kind, _, rest = address.partition("://")
    if kind.startswith("postgresql"):
        require("psycopg", extra="postgres")
        kind = "postgresql+psycopg"
    mlflow, sql = require("mlflow.exceptions", extra="train"), require("sqlalchemy.exc", extra="train")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    try:
        with _alone(f"{kind}://{rest}"):
            return _open(f"{kind}://{rest}")
    except (mlflow.MlflowException, sql.SQLAlchemyError) as error:
        secret, at, place = rest.rpartition("@")  # user and password
        raise Unavailable(
            f"registry.tracking_uri: {kind}://{place} does not answer ({_short(error, secret + at)}): check the "
            "address, and that it runs."
        ) from None


@contextmanager
def _alone(address: str) -> Iterator[None]:
    """Let one process of all machines at a time make MLflow's tables and the indexes in a PostgreSQL database."""
    if not address.startswith("postgresql"):
        yield
        return
    sql = require("sqlalchemy", extra="train")
    engine = sql.create_engine(address, poolclass=sql.pool.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        # Asked again and again: a connection that waits in one statement would hold up what migrations wait for.
        while not connection.execute(sql.text(f"SELECT pg_try_advisory_lock({_LOCK})")).scalar_one():
            time.sleep(0.1)
        yield


def _short(error: Exception, secret: str) -> str:
    """Return what *error* says, without *secret*: MLflow repeats the address as it was given."""
    return " ".join(str(getattr(error, "orig", None) or error).replace(secret, "").split())[:200]


def _open(address: str) -> MlflowClient:
    tracking = require("mlflow.tracking", extra="train")
    client: MlflowClient = tracking.MlflowClient(address, address)
    client.search_registered_models(max_results=1)  # the registry's half opens at its first use
    engine = getattr(client._tracking_client.store, "engine", None)  # a server's tables are not ours
    if engine is not None:
        ensure_indexes(engine)
    return client


@contextmanager
def _made_once(home: Home) -> Iterator[None]:
    """Let one process at a time make or open the database."""
    home.root.mkdir(parents=True, exist_ok=True)
    with (home.root / "mlflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
