"""Which version serves: the alias ``champion`` first, then what is derived from it.

The alias in MLflow is the truth. What serving reads, a package in the package store and a deployment in control state,
is derived from it: a promotion that is cut short is finished by `Promotions.reconcile`, which every change starts with.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from orita.control.deployments import Deployment, Deployments
from orita.core.errors import UserError
from orita.core.files import atomic_directory
from orita.models.package import Package
from orita.registry.store import Store
from orita.registry.versions import ModelVersion, Versions

__all__ = ["Promotions"]


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

    def reconcile(self, system: str) -> Deployment | None:
        """Point serving at the alias ``champion``; return the deployment that took, None where it did already."""
        entry = self._versions.find(system, "champion")
        if entry is None:
            return None
        deployed = self._deployments.current(system)
        if deployed and deployed.version == entry.version:
            return None
        self._publish(entry)
        self._point(entry, actor="orita", reason="the alias champion in the registry names it")
        return self._deployments.current(system)

    def _make_champion(self, entry: ModelVersion, *, actor: str, reason: str) -> None:
        self._publish(entry)
        client, name = self._store.client, self._store.name(entry.system)
        client.set_registered_model_alias(name, "champion", str(entry.number))
        if "challenger" in entry.aliases:
            client.delete_registered_model_alias(name, "challenger")
        self._point(entry, actor=actor, reason=reason)

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
            self._deployments.deploy(entry.system, entry.version, actor=actor, reason=reason)
