"""How a server explains its requests: by what the command ``explain`` does, without what only training needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orita.models.package import Package
from orita.project import Project

__all__ = ["ServedRequests"]

_MEMORY_MB = 256  # of the engine that reads events, beside a server that answers


class ServedRequests:
    """Explains what the servers of a project answered, with packages as they were published for servers."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def __call__(self, identity: str, /, *, items: Sequence[str], top: int, lineage: bool) -> Mapping[str, Any]:
        """Return why a request was answered as it was; see `orita.explain.explain_request`."""
        from orita.explain import explain_request  # its imports would delay every start of a server

        return explain_request(
            self._project.home,
            self._project.system,
            identity,
            load=self._published,
            items=items,
            top=top,
            lineage=lineage,
            memory_mb=min(_MEMORY_MB, self._project.data.value.validation.memory_mb),
        )

    def _published(self, version: str) -> Package:
        folder: Path = self._project.home.packages / self._project.system.name / version
        return self._project.load_package(folder)
