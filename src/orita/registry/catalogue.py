"""The catalogue of models: runs, versions, the aliases champion and challenger, and what serves.

The alias ``champion`` in MLflow is the truth. What serving reads, a package in the package store and a deployment in
control state, is derived from it: a promotion that is cut short is finished by `Catalogue.reconcile`, which every
change starts with.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlparse
from urllib.request import url2pathname

from orita.control.deployments import Deployment, Deployments
from orita.core.clock import Clock, SystemClock
from orita.core.errors import NotFound, UserError, closest
from orita.core.extras import require
from orita.core.files import atomic_directory, remove_leftovers
from orita.core.home import Home
from orita.models.config import is_metric
from orita.models.package import Package, load_package
from orita.registry.config import RegistryConfig
from orita.registry.tracking import mlflow_client
from orita.registry.trust import sign_if_wanted, trust_of

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.tracking import MlflowClient

__all__ = ["Alias", "Catalogue", "ModelVersion", "RunLog"]

Alias = Literal["champion", "challenger"]
_READY = "orita.ready"
_LONGEST_PARAM, _PARAMS_A_BATCH, _METRICS_A_BATCH = 6000, 100, 1000  # limits of MLflow
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One registered model.

    Attributes:
        system: whose model it is.
        version: ``v<package format>.<number>.0``.
        number: its number in the registry.
        type: ``two_tower``, ``lightgbm``, …
        aliases: ``champion`` and ``challenger`` where it is.
        metrics: test metrics by name.
        run_id: the MLflow run it came from.
        created_at: when it was registered, UTC.
        package: where its package is.
        tags: lineage (training set, lake versions, feature schema, code version).
    """

    system: str
    version: str
    number: int
    type: str
    aliases: tuple[str, ...]
    metrics: Mapping[str, float]
    run_id: str
    created_at: datetime
    package: Path
    tags: Mapping[str, str]

    @property
    def champion(self) -> bool:
        """Whether it is the one that serves."""
        return "champion" in self.aliases


@dataclass(frozen=True, slots=True)
class RunLog:
    """What is kept of a training run: parameters, final metrics, metrics by step, lineage tags."""

    name: str
    params: Mapping[str, object]
    metrics: Mapping[str, float]
    history: list[dict[str, float]] = field(default_factory=list)
    tags: Mapping[str, str] = field(default_factory=dict)


class Catalogue:
    """The models of one home and tenant."""

    def __init__(self, home: Home, clock: Clock | None = None, config: RegistryConfig | None = None) -> None:
        self.home = home
        self._clock, self._config = clock or SystemClock(), config or RegistryConfig()

    @cached_property
    def _client(self) -> MlflowClient:
        """MLflow's client, made when it is first needed: looking at an empty home writes nothing."""
        return mlflow_client(self.home, self._config)

    @cached_property
    def _load(self) -> Callable[[Path], Package]:
        """Opens a package of somebody who is trusted."""
        return partial(load_package, trust=trust_of(self._config, self.home))

    @cached_property
    def _deployments(self) -> Deployments:
        return Deployments(self.home.control_db, self.home.tenant, self._clock)

    def log_run(self, system: str, log: RunLog) -> str:
        """Record a finished run of *system* and return its id."""
        client = self._client
        run = client.create_run(self._experiment(system), run_name=log.name, tags=dict(log.tags))
        run_id: str = run.info.run_id
        entities = require("mlflow.entities", extra="train")
        now = int(self._clock.now().timestamp() * 1000)
        params = [entities.Param(key, str(value)[:_LONGEST_PARAM]) for key, value in log.params.items()]
        metrics = [entities.Metric(key, number, now, 0) for key, number in log.metrics.items()]
        metrics += [
            entities.Metric(f"fit_{key}", number, now, step)
            for step, row in enumerate(log.history)
            for key, number in row.items()
        ]
        for start in range(0, len(params), _PARAMS_A_BATCH):
            client.log_batch(run_id, params=params[start : start + _PARAMS_A_BATCH])
        for start in range(0, len(metrics), _METRICS_A_BATCH):
            client.log_batch(run_id, metrics=metrics[start : start + _METRICS_A_BATCH])
        client.set_terminated(run_id)
        return run_id

    def find_run(self, system: str, tag: str, value: str) -> str | None:
        """Return the id of the finished run of *system* whose *tag* has *value*, or None."""
        found = self._client.search_runs(
            [self._experiment(system)],
            f"tags.`{tag}` = '{value}' and attributes.status = 'FINISHED'",
            max_results=1,
        )
        return str(found[0].info.run_id) if found else None

    def register(
        self,
        system: str,
        run_id: str,
        write: Callable[[Path, str], None],
        *,
        type_: str,
        tags: Mapping[str, str],
    ) -> ModelVersion:
        """Register a new version from a run and make it the challenger.

        Args:
            system: whose model it is.
            run_id: the run it came from.
            write: called with a folder and the version; fills the folder with the package.
            type_: the model's type.
            tags: lineage.
        """
        client, name = self._client, self._name(system)
        self._ensure_model(name)
        folder = self._local(client.get_run(run_id).info.artifact_uri) / "package"
        made = client.create_model_version(
            name, source=folder.as_uri(), run_id=run_id, tags={"orita.type": type_, **tags}
        )
        version = f"v{_FORMAT}.{made.version}.0"
        remove_leftovers(folder.parent)  # of a registration of this run that was cut short
        with atomic_directory(folder) as draft:
            write(draft, version)
            sign_if_wanted(self._config, self.home, draft)
        self._load(folder).check_sample()
        client.set_model_version_tag(name, made.version, _READY, "true")
        client.set_registered_model_alias(name, "challenger", made.version)
        return self.get(system, version)

    def versions(self, system: str) -> list[ModelVersion]:
        """Return every version of *system*, the newest first."""
        if self._config.tracking_uri is None and not self.home.mlflow_db.exists():
            return []
        name = self._name(system)
        found = self._client.search_model_versions(f"name = '{name}'", max_results=10_000)
        if not found:
            return []
        aliases = self._aliases(name)
        entries = [self._entry(system, version, aliases) for version in found if version.tags.get(_READY)]
        return sorted(entries, key=lambda entry: -entry.number)

    def get(self, system: str, version: str) -> ModelVersion:
        """Return the model that *version* or the alias ``champion`` or ``challenger`` names.

        Raises:
            NotFound: there is none; the sentence says what exists.
        """
        entries = self.versions(system)
        for entry in entries:
            if version in (entry.version, str(entry.number), *entry.aliases):
                return entry
        if not entries:
            raise NotFound(f"system {system!r} has no model yet: run 'orita train' first.")
        known = [
            *(entry.version for entry in entries),
            *(alias for entry in entries for alias in entry.aliases),
        ]
        raise NotFound(f"system {system!r} has no model {version!r}. {closest(version, known)}")

    def champion(self, system: str) -> ModelVersion | None:
        """Return the version that serves, or None before the first promotion."""
        return next((entry for entry in self.versions(system) if entry.champion), None)

    def promote(self, system: str, version: str, *, actor: str, reason: str) -> ModelVersion:
        """Make *version* the champion: publish its package, then point serving at it.

        Raises:
            NotFound: there is no such version.
            UserError: its package is damaged; the champion stays.
        """
        self.reconcile(system)
        entry = self.get(system, version)
        self._publish(entry)
        name = self._name(system)
        self._client.set_registered_model_alias(name, "champion", str(entry.number))
        if "challenger" in entry.aliases:
            self._client.delete_registered_model_alias(name, "challenger")
        self._point(entry, actor=actor, reason=reason)
        return self.get(system, entry.version)

    def rollback(self, system: str, *, actor: str, reason: str) -> ModelVersion:
        """Undo the latest promotion: the version that was champion before it is champion again.

        Raises:
            UserError: there is no earlier champion.
        """
        finished = self.reconcile(system)
        if finished and finished.kind == "rollback":  # this one was asked for before, and cut short
            return self.get(system, finished.version)
        previous = self._deployments.previous(system) if self.champion(system) else None
        if previous is None:
            raise UserError(
                f"system {system!r} has no earlier champion to go back to: 'orita models promote VERSION' names one."
            )
        entry = self.get(system, previous)
        self._publish(entry)
        self._client.set_registered_model_alias(self._name(system), "champion", str(entry.number))
        self._point(entry, actor=actor, reason=reason)
        return self.get(system, entry.version)

    def reconcile(self, system: str) -> Deployment | None:
        """Point serving at the alias ``champion``; return the deployment that took, None where it did already."""
        entry = self.champion(system)
        if entry is None:
            return None
        deployed = self._deployments.current(system)
        if deployed and deployed.version == entry.version:
            return None
        self._publish(entry)
        self._point(entry, actor="orita", reason="the alias champion in the registry names it")
        return self._deployments.current(system)

    def _publish(self, entry: ModelVersion) -> None:
        """Copy a package into the package store; it is there once it has proved whole, and is of who is trusted."""
        target = self.home.packages / entry.system / entry.version
        if target.exists():
            self._load(target)
            return
        self._load(entry.package)
        with atomic_directory(target) as copied:
            shutil.copytree(entry.package, copied, dirs_exist_ok=True)
            self._load(copied).check_sample()

    def _point(self, entry: ModelVersion, *, actor: str, reason: str) -> None:
        current = self._deployments.current(entry.system)
        if current is None or current.version != entry.version:
            self._deployments.deploy(entry.system, entry.version, actor=actor, reason=reason)

    def _entry(self, system: str, version: MlflowVersion, aliases: Mapping[str, list[str]]) -> ModelVersion:
        run = self._client.get_run(version.run_id)
        return ModelVersion(
            system=system,
            version=f"v{_FORMAT}.{version.version}.0",
            number=int(version.version),
            type=version.tags.get("orita.type", ""),
            aliases=tuple(sorted(aliases.get(str(version.version), []))),
            metrics={name: value for name, value in run.data.metrics.items() if is_metric(name)},
            run_id=version.run_id,
            created_at=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
            package=self._local(version.source),
            tags=dict(version.tags),
        )

    def _aliases(self, name: str) -> dict[str, list[str]]:
        by_version: dict[str, list[str]] = {}
        for alias, version in self._client.get_registered_model(name).aliases.items():
            by_version.setdefault(str(version), []).append(alias)
        return by_version

    def _name(self, system: str) -> str:
        return f"{self.home.tenant}.{system}"

    def _experiment(self, system: str) -> str:
        name = self._name(system)
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = (self.home.artifacts / self.home.tenant / system).as_uri()
        return str(self._client.create_experiment(name, artifact_location=location))

    def _ensure_model(self, name: str) -> None:
        if not self._client.search_registered_models(f"name = '{name}'", max_results=1):
            self._client.create_registered_model(name)

    @staticmethod
    def _local(uri: str) -> Path:
        return Path(url2pathname(urlparse(uri).path) if "://" in uri else uri)
