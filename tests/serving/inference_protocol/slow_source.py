"""A source of models that takes its time."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from orita.models.package import Package

__all__ = ["SlowSource"]


class SlowSource:
    """Has one model, once it is loaded, which ends when it may.

    Attributes:
        may_end: set it, and the load ends.
        loads: how often it was loaded.
    """

    ready = True

    def __init__(self, package: Package) -> None:
        self._package, self._there = package, False
        self.may_end, self.loads = threading.Event(), 0

    def versions(self, name: str, /) -> Sequence[str]:
        """Know one version."""
        return (self._package.version,)

    def loaded(self, name: str, version: str | None, /) -> Package | None:
        """Have it once it was loaded."""
        return self._package if self._there else None

    def load(self, name: str, version: str | None, /) -> Package:
        """Load for as long as it takes."""
        self.loads += 1
        assert self.may_end.wait(20)
        self._there = True
        return self._package
