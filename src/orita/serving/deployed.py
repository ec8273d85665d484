"""The model of a server's deployment, as the Open Inference Protocol asks for models: by name and version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from orita.core.errors import NotFound, Unavailable, closest
from orita.models.package import Package
from orita.serving.champion import ChampionFollower

__all__ = ["DeployedModel"]


class DeployedModel:
    """Knows one name, the system's, and one version of it: the one that answers."""

    def __init__(self, system: str, follower: ChampionFollower) -> None:
        self._system = system
        self._follower = follower

    @property
    def ready(self) -> bool:
        """Whether a model is loaded."""
        return self._follower.champion is not None

    def versions(self, name: str, /) -> Sequence[str]:
        """Return the version that answers; none before a model is loaded.

        Raises:
            NotFound: the system has another name.
        """
        self._check(name)
        champion = self._follower.champion
        return () if champion is None else (champion.package.version,)

    def loaded(self, name: str, version: str | None, /) -> Package:
        """Return the model.

        Raises:
            NotFound: there is no such name, or another version answers.
            Unavailable: no model is loaded.
        """
        self._check(name)
        champion = self._follower.champion
        if champion is None:
            raise Unavailable("no model is deployed and loaded yet: promote one, or wait.")
        if version is not None and version != champion.package.version:
            raise NotFound(f"version {version!r} of {name!r} does not answer here, {champion.package.version} does.")
        return cast("Package", champion.package)

    def load(self, name: str, version: str | None, /) -> Package:
        """Return the model; see `loaded`."""
        return self.loaded(name, version)

    def _check(self, name: str) -> None:
        if name != self._system:
            raise NotFound(f"model {name!r} is not here. {closest(name, [self._system])}")
