"""The component that finds the files that a run was given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orita.core.errors import UserError
from orita.events.sources.find import find_sources
from orita.events.sources.probe import digest_of as digest_of_file
from orita.pipelines.components.artifact import Made, digest_of
from orita.pipelines.components.component import Call
from orita.pipelines.workspace import Workspace

__all__ = ["SourceFinder"]


class SourceFinder:
    """Finds the files that the workspace names; they are read only where a size or a time has changed."""

    name = "source_finder"
    version = 1
    inputs: Mapping[str, str] = {}
    outputs: Mapping[str, str] = {"source": "Source"}

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return the path, and which files of it are tables, with their sizes and times."""
        source = _source(workspace)
        stats = {file.name: file.stat() for file in _files(workspace)}
        return {
            "path": str(source.absolute()),
            "files": {name: [found.st_size, found.st_mtime_ns] for name, found in stats.items()},
        }

    def run(self, call: Call) -> Mapping[str, Made]:
        """Take the digest of every file."""
        digests = {file.name: digest_of_file(file) for file in _files(call.workspace)}
        source = _source(call.workspace).absolute()
        return {"source": Made(source, digest=digest_of(digests), facts={"files": sorted(digests)}, watched=False)}


def _source(workspace: Workspace) -> Path:
    if workspace.source is None or not workspace.source.exists():
        raise UserError(f"{workspace.source} does not exist: give a file or folder that Orita can read with --data.")
    return workspace.source


def _files(workspace: Workspace) -> list[Path]:
    return sorted(found.file for found in find_sources(_source(workspace), workspace.system.tables))
