"""Which models the protocol can be asked about: what it needs of a server, and the simplest one that has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from orita.core.errors import NotFound, closest
from orita.models.package import Package

__all__ = ["FixedModels", "ModelSource"]


class ModelSource(Protocol):
    """Knows models by name and version. All but `load` are called from the event loop and must not wait."""

    @property
    def ready(self) -> bool:
        """Whether all that should answer can."""
        ...

    def versions(self, name: str, /) -> Sequence[str]:
        """Return the versions of *name* that may be asked for.

        Raises:
            NotFound: there is no model of that name; the sentence lists those there are.
        """
        ...

    def loaded(self, name: str, version: str | None, /) -> Package | None:
        """Return a model if it is in memory, else None; without *version*, the one that is deployed.

        Raises:
            NotFound: there is no such model or version.
            Unavailable: there is, and it cannot answer now.
        """
        ...

    def load(self, name: str, version: str | None, /) -> Package:
        """Return a model, loaded if need be. Called from a thread.

        Raises:
            NotFound, Unavailable: as `loaded`.
        """
        ...


class FixedModels:
    """Models that were loaded beforehand, one version of each name."""

    def __init__(self, packages: Mapping[str, Package]) -> None:
        self._packages = dict(packages)

    @property
    def ready(self) -> bool:
        """Always."""
        return True

    def versions(self, name: str, /) -> Sequence[str]:
        """Return the one version of *name*."""
        return (self.load(name, None).version,)

    def loaded(self, name: str, version: str | None, /) -> Package:
        """Return the model."""
        return self.load(name, version)

    def load(self, name: str, version: str | None, /) -> Package:
        """Return the model.

        Raises:
            NotFound: there is no such name, or it has another version.
        """
        if name not in self._packages:
            raise NotFound(f"model {name!r} is not here. {closest(name, self._packages)}")
        package = self._packages[name]
        if version is not None and version != package.version:
            raise NotFound(f"model {name!r} has no version {version!r}. {closest(version, [package.version])}")
        return package
