"""The catalogue of models: versions, the aliases champion and challenger, what serves, and the runs they came from.

What each question means stands with its answer: runs in `runs`, searches in `searching`, versions in `versions`, which
one serves in `promotion`. MLflow is underneath; what its own clients read beside is made in `mlmodel` and `datasets`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path

from orita.control.deployments import Deployment
from orita.core.clock import Clock
from orita.core.files import atomic_directory, remove_leftovers
from orita.core.home import Home
from orita.models.package import Package, load_package
from orita.registry.config import RegistryConfig
from orita.registry.datasets import log_training_set
from orita.registry.mlmodel import PACKAGE, write_mlmodel
from orita.registry.promotion import Promotions
from orita.registry.run import Run, RunLog, RunStatus
from orita.registry.runs import Runs
from orita.registry.store import Store, local_path
from orita.registry.trust import sign_if_wanted, trust_of
from orita.registry.versions import READY, ModelVersion, Versions, version_name

__all__ = ["Catalogue", "ModelVersion", "Run", "RunLog", "RunStatus"]


class Catalogue:
    """The models of one home and tenant.

    Attributes:
        home: where it is.
        config: which store, and whose packages are taken.
        runs: what is kept of trainings and trials.
    """

    def __init__(self, home: Home, clock: Clock | None = None, config: RegistryConfig | None = None) -> None:
        self.home = home
        self._store = Store(home, clock, config)
        self.config = self._store.config
        self.runs, self._versions = Runs(self._store), Versions(self._store)

    @cached_property
    def _load(self) -> Callable[[Path], Package]:
        """Opens a package of somebody who is trusted."""
        return partial(load_package, trust=trust_of(self.config, self.home))

    @cached_property
    def _promotions(self) -> Promotions:
        return Promotions(self._store, self._versions, self._load)

    def name(self, system: str) -> str:
        """Return what MLflow calls the experiment and the registered model of *system*: ``<tenant>.<system>``."""
        return self._store.name(system)

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
        client, name = self._store.client, self._store.name(system)
        self._store.ensure_model(system)
        run = client.get_run(run_id)
        root = local_path(run.info.artifact_uri)
        made = client.create_model_version(
            name, source=root.as_uri(), run_id=run_id, tags={"orita.type": type_, **tags}
        )
        version = version_name(made.version)
        root.mkdir(parents=True, exist_ok=True)
        remove_leftovers(root)  # of a registration of this run that was cut short
        with atomic_directory(root / PACKAGE) as draft:
            write(draft, version)
            sign_if_wanted(self.config, self.home, draft)
        package = self._load(root / PACKAGE)
        package.check_sample()
        write_mlmodel(root, package, run_id)
        if not run.inputs.dataset_inputs:  # of a run that was logged without the tag of its training set
            log_training_set(self._store, run_id, system, tags, package.schema)
        client.set_model_version_tag(name, made.version, READY, "true")
        client.set_registered_model_alias(name, "challenger", made.version)
        return self.get(system, version)

    def versions(self, system: str) -> list[ModelVersion]:
        """Return every version of *system*, the newest first."""
        return self._versions.all(system)

    def search(self, system: str, query: str = "", *, order: str | None = None, limit: int = 20) -> list[ModelVersion]:
        """Return the versions of *system* that *query* describes (`orita.registry.parsing` has the grammar).

        Args:
            system: whose versions.
            query: as of `Runs.search`; metrics and params are those of a version's run, tags its own.
            order: a metric, ``number`` or ``registered``, the greatest first, or ``log_loss asc``; None: the newest
                first.
            limit: 1 to 1,000 versions.

        Raises:
            UserError: the query, the order or the limit is none.
        """
        return self._versions.search(system, query, order, limit)

    def get(self, system: str, version: str) -> ModelVersion:
        """Return the model that *version* or the alias ``champion`` or ``challenger`` names.

        Raises:
            NotFound: there is none; the sentence says what exists.
        """
        return self._versions.get(system, version)

    def champion(self, system: str) -> ModelVersion | None:
        """Return the version that serves, or None before the first promotion."""
        return self._versions.find(system, "champion")

    def challenge(self, entry: ModelVersion) -> ModelVersion:
        """Make a version the challenger, unless it is, or serves; return it as it is then."""
        if not entry.stands:
            name = self._store.name(entry.system)
            self._store.client.set_registered_model_alias(name, "challenger", str(entry.number))
        return self.get(entry.system, entry.version)

    def publish(self, system: str, version: str) -> ModelVersion:
        """Put the package of *version* into the package store, verified, so that a rollout can try it.

        Raises:
            NotFound: there is no such version.
            UserError: its package is damaged, or not of who is trusted.
        """
        return self._promotions.publish(system, version)

    def promote(self, system: str, version: str, *, actor: str, reason: str) -> ModelVersion:
        """Make *version* the champion: publish its package, then point serving at it.

        Raises:
            NotFound: there is no such version.
            UserError: its package is damaged; the champion stays.
        """
        return self._promotions.promote(system, version, actor=actor, reason=reason)

    def rollback(self, system: str, *, actor: str, reason: str) -> ModelVersion:
        """Undo the latest promotion: the version that was champion before it is champion again.

        Raises:
            UserError: there is no earlier champion.
        """
        return self._promotions.rollback(system, actor=actor, reason=reason)

    def reconcile(self, system: str) -> Deployment | None:
        """Let serving and the alias ``champion`` agree: a promotion that was cut short is finished, and after one in
        control state, by a rollout, the alias follows; return the deployment that took, None where it took none.
        """
        return self._promotions.reconcile(system)
