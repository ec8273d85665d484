"""Which version serves: the alias ``champion`` first, then what is derived from it.

A promotion moves the alias in MLflow first. What serving reads, a package in the package store and a deployment in
control state, is derived from it: a promotion that is cut short is finished by `Promotions.reconcile`, which every
change starts with. A rollout promotes in control state, where its end is decided in the same transaction; then the
alias follows the deployment. Which of the two moved since they last agreed is told by a tag of the registered model,
the number of the deployment of then.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from orita.control.deployments import Deployment, Deployments
from orita.core.errors import NotFound, UserError
from orita.core.files import atomic_directory
from orita.models.package import Package
from orita.registry.store import Store
from orita.registry.versions import ModelVersion, Versions

__all__ = ["AGREED", "Promotions"]

AGREED = "orita.deployment"
"""The tag of a registered model: the number of the latest deployment that its alias ``champion`` agreed with."""


class Promotions:
    """Promotes and rolls back the versions of one home and tenant."""

    def __init__(self, store: Store, versions: Versions, load: Callable[[Path], Package]) -> None:
        self._store, self._versions, self._load = store, versions, load

    @cached_property
    def _deployments(self) -> Deployments:
        home = self._store.home
        return Deployments(home.control, home.tenant, self._store.clock)

    def promote(self, system: str, version: str, *, actor: str, reason: str) -> ModelVersion:
        """Make *version* the champion: publish its package, then point serving at it."""
        self.reconcile(system)
        entry = self._versions.get(system, version)
        self._make_champion(entry, actor=actor, reason=reason)
        return self._versions.get(system, entry.version)

    def rollback(self, system: str, *, actor: str, reason: str) -> ModelVersion:
        """Undo the latest promotion: the version that was champion before it is champion again."""
        finished = self.reconcile(system)
        if finished and finished.kind == "rollback":  # this one was asked for before, and cut short
            return self._versions.get(system, finished.version)
        previous = self._deployments.previous(system) if self._versions.find(system, "champion") else None
        if previous is None:
            raise UserError(
                f"system {system!r} has no earlier champion to go back to: 'orita models promote VERSION' names one."
            )
        entry = self._versions.get(system, previous)
        self._make_champion(entry, actor=actor, reason=reason)
        return self._versions.get(system, entry.version)

    def publish(self, system: str, version: str) -> ModelVersion:
        """Put the package of *version* into the package store, from which a rollout can try it."""
        self.reconcile(system)
        entry = self._versions.get(system, version)
        self._publish(entry)
        return entry

    def reconcile(self, system: str) -> Deployment | None:
        """Let serving and the alias ``champion`` agree; return the deployment that took, None where it took none."""
        entry = self._versions.find(system, "champion")
        if entry is None:
            return None
        deployed = self._deployments.current(system)
        if deployed and deployed.version == entry.version:
            self._agreed(deployed)
            return None
        leads = self._deployed_since(entry, deployed) if deployed else None
        if deployed and leads:
            self._name_champion(leads)
            self._agreed(deployed)
            return None
        self._publish(entry)
        self._point(entry, actor="orita", reason="the alias champion in the registry names it")
        return self._deployments.current(system)

    def _make_champion(self, entry: ModelVersion, *, actor: str, reason: str) -> None:
        self._publish(entry)
        self._name_champion(entry)
        self._point(entry, actor=actor, reason=reason)

    def _name_champion(self, entry: ModelVersion) -> None:
        client, name = self._store.client, self._store.name(entry.system)
        client.set_registered_model_alias(name, "champion", str(entry.number))
        if "challenger" in entry.aliases:
            client.delete_registered_model_alias(name, "challenger")

    def _deployed_since(self, entry: ModelVersion, deployed: Deployment) -> ModelVersion | None:
        """Return what is deployed where that was decided after the alias was set to *entry*, None otherwise."""
        tags = self._store.client.get_registered_model(self._store.name(entry.system)).tags
        if AGREED in tags:
            since = int(tags[AGREED]) < deployed.sequence
        else:  # of a home of before: an alias that was never deployed names what is to be
            since = any(each.version == entry.version for each in self._deployments.history(entry.system))
        try:
            return self._versions.get(entry.system, deployed.version) if since else None
        except NotFound:  # it was published by somebody else's registry
            return None

    def _agreed(self, deployed: Deployment) -> None:
        """Note up to which deployment the alias says the same."""
        client, name = self._store.client, self._store.name(deployed.system)
        if client.get_registered_model(name).tags.get(AGREED) != str(deployed.sequence):
            client.set_registered_model_tag(name, AGREED, str(deployed.sequence))

    def _publish(self, entry: ModelVersion) -> None:
        """Copy a package into the package store; it is there once it has proved whole, and is of who is trusted."""
        target = self._store.home.packages / entry.system / entry.version
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
            current = self._deployments.deploy(entry.system, entry.version, actor=actor, reason=reason)
        self._agreed(current)
