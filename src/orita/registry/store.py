"""The store of one home and tenant: MLflow's client on it, and how things are named there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from orita.core.clock import Clock, SystemClock
from orita.core.errors import UserError
from orita.core.extras import require
from orita.core.git import commit_of
from orita.core.home import Home
from orita.registry.config import RegistryConfig
from orita.registry.tracking import mlflow_client

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

__all__ = ["Store", "local_path"]


class Store:
    """Where the catalogue of one home and tenant lies; opened when it is first needed."""

    def __init__(self, home: Home, clock: Clock | None = None, config: RegistryConfig | None = None) -> None:
        self.home = home
        self.clock, self.config = clock or SystemClock(), config or RegistryConfig()

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client, made when it is first needed: looking at an empty home writes nothing."""
        return mlflow_client(self.home, self.config)

    @property
    def exists(self) -> bool:
        """Whether there is anything to read: a home's own database is made by the first run."""
        return self.config.tracking_uri is not None or self.home.mlflow_db.exists()

    @property
    def sql_store(self) -> Any:
        """MLflow's store on the database, or None where a server answers in its place."""
        store = self.client._tracking_client.store
        return store if hasattr(store, "engine") else None

    @cached_property
    def source(self) -> dict[str, str]:
        """MLflow's tags of what makes the runs: this program, and the commit of the project that the home is in."""
        tags = {"mlflow.source.name": "orita", "mlflow.source.type": "LOCAL"}
        commit = commit_of(self.home.root)
        return {**tags, "mlflow.source.git.commit": commit} if commit else tags

    def name(self, system: str) -> str:
        """Return the name of the experiment and of the registered model of *system*."""
        return f"{self.home.tenant}.{system}"

    def experiment(self, system: str) -> str:
        """Return the id of the experiment of *system*, made where there was none."""
        found = self.find_experiment(system)
        if found is not None:
            return found
        location = (self.home.artifacts / self.home.tenant / system).as_uri()
        with _made_meanwhile():
            self.client.create_experiment(self.name(system), artifact_location=location)
        made = self.find_experiment(system)
        assert made is not None
        return made

    def ensure_model(self, system: str) -> None:
        """Make the registered model of *system* where there is none."""
        name = self.name(system)
        if not self.client.search_registered_models(f"name = '{name}'", max_results=1):
            with _made_meanwhile():
                self.client.create_registered_model(name)

    def find_experiment(self, system: str) -> str | None:
        """Return the id of the experiment of *system*, or None before its first run."""
        found = self.client.get_experiment_by_name(self.name(system))
        return str(found.experiment_id) if found is not None else None


@contextmanager
def _made_meanwhile() -> Iterator[None]:
    """Let another process have made the same thing between the question and the making."""
    mlflow = require("mlflow.exceptions", extra="train")
    try:
        yield
    except mlflow.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def local_path(uri: str) -> Path:
    """Return the folder on this machine that *uri* names.

    Raises:
        UserError: it is elsewhere, as the artifacts of an experiment are that was not made by Orita.
    """
    parsed = urlparse(uri)
    if parsed.scheme not in ("", "file"):
        raise UserError(
            f"the artifacts are at {uri}, which is no folder of this machine: packages lie in folders. Let Orita make "
            "the experiment (rename or delete the one that is there), or share a folder."
        )
    return Path(url2pathname(parsed.path) if parsed.scheme else uri)
