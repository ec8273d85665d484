"""The catalogue of models: runs, versions, the aliases champion and challenger, and what serves.

What each question means stands with its answer: runs in `runs`, searches in `searching`, versions in `versions`, which
one serves in `promotion`. MLflow is underneath; what its own clients read beside is made in `mlmodel` and `datasets`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from orita.control.deployments import Deployment
from orita.core.clock import Clock
from orita.core.files import atomic_directory, remove_leftovers
from orita.core.home import Home
from orita.models.package import Package, load_package
from orita.registry.config import RegistryConfig
from orita.registry.datasets import log_training_set
from orita.registry.mlmodel import PACKAGE, write_mlmodel
from orita.registry.promotion import Promotions
from orita.registry.runs import Run, RunLog, Runs, RunStatus
from orita.registry.searching import find_finished, find_runs
from orita.registry.store import Store, local_path
from orita.registry.trust import sign_if_wanted, trust_of
from orita.registry.versions import READY, ModelVersion, Versions, version_name

__all__ = ["Alias", "Catalogue", "ModelVersion", "Run", "RunLog", "RunStatus"]

Alias = Literal["champion", "challenger"]


class Catalogue:
    """The models of one home and tenant."""

    def __init__(self, home: Home, clock: Clock | None = None, config: RegistryConfig | None = None) -> None:
        self.home = home
        self._store = Store(home, clock, config)
        self._runs, self._versions = Runs(self._store), Versions(self._store)

    @cached_property
    def _load(self) -> Callable[[Path], Package]:
        """Opens a package of somebody who is trusted."""
        return partial(load_package, trust=trust_of(self._store.config, self.home))

    @cached_property
    def _promotions(self) -> Promotions:
        return Promotions(self._store, self._versions, self._load)

    def log_run(self, system: str, log: RunLog) -> str:
        """Record a finished run of *system* and return its id."""
        return self._runs.log(system, log)

    def begin_run(
        self,
        system: str,
        name: str,
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        parent: str | None = None,
    ) -> str:
        """Begin a run of *system*, under the run *parent* if one is named; return its id.

        It is ``RUNNING`` until `end_run`; a killed process leaves it so.
        """
        return self._runs.begin(system, name, params, tags, parent)

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
        """Add the values of *metrics* at *step* (≥ 0) to a run."""
        self._runs.log_metrics(run_id, metrics, step)

    def end_run(self, run_id: str, status: RunStatus = "FINISHED") -> None:
        """End a run, ``FINISHED``, ``FAILED`` or ``KILLED``.

        Raises:
            UserError: *status* is none of them.
        """
        self._runs.end(run_id, status)

    def search_runs(self, system: str, query: str = "", *, order: str | None = None, limit: int = 20) -> list[Run]:
        """Return the runs of *system* that *query* describes (`orita.registry.parsing` has the grammar).

        Args:
            system: whose runs.
            query: ``auc > 0.75 and type = 'lightgbm' and tag.team = 'ads'``; empty: all.
            order: a metric, ``started`` or ``ended``, the greatest first, or ``log_loss asc``; None: the newest first.
            limit: 1 to 1,000 runs.

        Raises:
            UserError: the query, the order or the limit is none.
        """
        return find_runs(self._store, system, query, order, limit)

    def find_run(self, system: str, tag: str, value: str) -> str | None:
        """Return the id of the finished run of *system* whose *tag* has *value*, or None."""
        return find_finished(self._store, system, tag, value)

    def run(self, run_id: str) -> Run:
        """Return the run with this id.

        Raises:
            NotFound: there is none.
        """
        return self._runs.get(run_id)

    def run_history(self, run_id: str) -> dict[str, list[tuple[int, float]]]:
        """Return (step, value) of every metric of a run, in the order of the steps."""
        return self._runs.history(run_id)

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
            sign_if_wanted(self._store.config, self.home, draft)
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
            query: as of `search_runs`; metrics and params are those of a version's run, tags its own.
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
        """Point serving at the alias ``champion``; return the deployment that took, None where it did already."""
        return self._promotions.reconcile(system)
