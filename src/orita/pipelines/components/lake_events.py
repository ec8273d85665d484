"""The component that says which events and attributes there are to learn from (TFX's ExampleGen, its second half)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orita.features.api.relations import Tables
from orita.pipelines.components.artifact import Made, digest_of
from orita.pipelines.components.component import Call
from orita.pipelines.workspace import Workspace

__all__ = ["LakeEvents", "lake_files"]


class LakeEvents:
    """Finds the tables of the lake that the system reads.

    Args:
        found: the tables as they were a moment ago; None: as they are when it is asked.
    """

    name = "lake_events"
    version = 1
    inputs: Mapping[str, str] = {}
    outputs: Mapping[str, str] = {"events": "Examples"}

    def __init__(self, found: Tables | None = None) -> None:
        self._found = found

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return the version of each table, and a digest of which files hold it."""
        found = self._found or workspace.tables()
        return {"tables": found.versions, "files": digest_of(lake_files(found))}

    def run(self, call: Call) -> Mapping[str, Made]:
        """Describe the tables; a file of the lake is written once, under a name of its own, so names are content."""
        found = self._found or call.workspace.tables()
        facts = {"tables": found.versions, "rows": {name: each.rows for name, each in found.snapshots.items()}}
        lake = call.workspace.home.table("any").parent
        return {"events": Made(lake, digest=digest_of(lake_files(found)), facts=facts, watched=False)}


def lake_files(found: Tables) -> list[str]:
    """Return the names of the lake files that hold events and attributes, sorted."""
    return sorted(Path(file).name for snapshot in found.snapshots.values() for file in snapshot.files)
