"""Where state lives: one folder, the same layout on every machine, one place a tenant."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from orita.core.errors import UserError
from orita.core.names import check_name

__all__ = ["DEFAULT_TENANT", "Home"]

DEFAULT_TENANT = "default"


@dataclass(frozen=True, slots=True)
class Home:
    """The state folder (``ORITA_HOME``, by default ``./.orita``) as one tenant sees it.

    Attributes:
        root: the folder.
        tenant: whose state.
        control_url: the PostgreSQL database of control state, "" where it lies in the folder too.
    """

    root: Path
    tenant: str = DEFAULT_TENANT
    control_url: str = ""

    def __post_init__(self) -> None:
        check_name("tenant", self.tenant)
        if self.root.exists() and not self.root.is_dir():
            raise UserError(f"the home {self.root} is not a folder: give --home or ORITA_HOME a folder or a new path.")

    @classmethod
    def default(cls, tenant: str = DEFAULT_TENANT, folder: Path | None = None) -> Home:
        """Return the home that ``ORITA_HOME`` names, else ``.orita`` below *folder*, by default the current one."""
        named = os.environ.get("ORITA_HOME")
        return cls((Path(named) if named else (folder or Path()) / ".orita").absolute(), tenant)

    def table(self, name: str) -> Path:
        """Return the folder of lake table *name*."""
        return self.root / "lake" / self.tenant / name

    @property
    def events(self) -> Path:
        """The event log, one folder a stream."""
        return self.root / "events" / self.tenant

    @property
    def training_sets(self) -> Path:
        """Split feature files, one folder a training set."""
        return self.root / "training_sets" / self.tenant

    @property
    def online(self) -> Path:
        """The online store."""
        return self.root / "online" / self.tenant

    @property
    def features(self) -> Path:
        """The feature registry: ``<system>.json``."""
        return self.root / "features" / self.tenant

    @property
    def packages(self) -> Path:
        """The package store: ``<system>/<version>/``."""
        return self.root / "packages" / self.tenant

    @property
    def keys(self) -> Path:
        """Private keys that sign packages: ``<name>.pem``, for the owner alone."""
        return self.root / "keys" / self.tenant

    @property
    def trusted_keys(self) -> Path:
        """Public keys of those whose packages are trusted."""
        return self.root / "trusted_keys" / self.tenant

    @property
    def predictions(self) -> Path:
        """The prediction log."""
        return self.root / "predictions" / self.tenant

    @property
    def bandits(self) -> Path:
        """What bandits have learnt so far, to start from; it follows from the event log."""
        return self.root / "bandits" / self.tenant

    @property
    def shadow(self) -> Path:
        """How candidates differ from the champion on copies of requests."""
        return self.root / "shadow" / self.tenant

    @property
    def jobs(self) -> Path:
        """Queues of predictions that are answered later: ``<system>.db``."""
        return self.root / "jobs" / self.tenant

    @property
    def quarantine(self) -> Path:
        """Rows that failed validation, with their reason."""
        return self.root / "quarantine" / self.tenant

    @property
    def reports(self) -> Path:
        """Reports of evaluations, monitoring and runs."""
        return self.root / "reports" / self.tenant

    @property
    def runs(self) -> Path:
        """The journal of runs, ``<system>.db``, and the logs of their tasks."""
        return self.root / "runs" / self.tenant

    @property
    def checkpoints(self) -> Path:
        """Training checkpoints, so that a killed job goes on where it was."""
        return self.root / "checkpoints" / self.tenant

    @property
    def components(self) -> Path:
        """What the components of pipelines made, and of what: ``<system>/<component>/<key>/``."""
        return self.root / "components" / self.tenant

    @property
    def searches(self) -> Path:
        """Searches for hyper-parameters: ``<system>/<name>/``."""
        return self.root / "searches" / self.tenant

    @property
    def profiles(self) -> Path:
        """What earlier data looked like."""
        return self.root / "profiles" / self.tenant

    @property
    def generated(self) -> Path:
        """Synthetic worlds, one folder a configuration."""
        return self.root / "generated" / self.tenant

    @property
    def staging(self) -> Path:
        """Work in progress; safe to delete when nothing runs."""
        return self.root / "staging" / self.tenant

    @property
    def control_db(self) -> Path:
        """Control state (SQLite), shared by tenants; every row carries its tenant."""
        return self.root / "control.db"

    @property
    def control(self) -> Path | str:
        """Where control state is kept: the PostgreSQL database of `control_url`, else the file `control_db`."""
        return self.control_url or self.control_db

    @property
    def mlflow_db(self) -> Path:
        """MLflow's tracking store and registry (SQLite)."""
        return self.root / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifacts."""
        return self.root / "artifacts"

    def places(self) -> dict[str, Path]:
        """Return every place of this home by name, for ``orita home``."""
        return {
            "lake": self.root / "lake" / self.tenant,
            "events": self.events,
            "training_sets": self.training_sets,
            "online": self.online,
            "features": self.features,
            "packages": self.packages,
            "predictions": self.predictions,
            "jobs": self.jobs,
            "bandits": self.bandits,
            "shadow": self.shadow,
            "quarantine": self.quarantine,
            "reports": self.reports,
            "runs": self.runs,
            "checkpoints": self.checkpoints,
            "components": self.components,
            "searches": self.searches,
            "profiles": self.profiles,
            "generated": self.generated,
            "staging": self.staging,
            "control": self.control_db,
            "mlflow": self.mlflow_db,
            "artifacts": self.artifacts,
        }
