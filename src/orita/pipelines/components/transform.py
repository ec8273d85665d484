"""The component that turns events into training rows (TFX's Transform): features of each event as of its own time.

Three tasks of the ETL do its work one after the other; each takes it up where the one before left it. What turns the
same declarations into the same values for a request is the feature engine that serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from orita.core.errors import NotFound
from orita.events.engine import open_engine
from orita.features.api.relations import Tables
from orita.features.training_sets.training_set import (
    SPLITS,
    TrainingSet,
    digests_of_files,
    engine_name,
    open_training_set,
    training_set_id,
)
from orita.pipelines.components.artifact import Made, digest_of
from orita.pipelines.components.component import Call
from orita.pipelines.components.lake_events import lake_files
from orita.pipelines.workspace import Workspace

__all__ = ["Transform", "content_digest", "rows_hold", "sound_training_set", "wanted_training_set"]


class Transform:
    """Computes, splits and writes training rows.

    Args:
        training_set: id of the set; None: the one that declarations, configuration and lake make now.
    """

    name = "transform"
    version = 1
    inputs: Mapping[str, str] = {"events": "Examples"}
    outputs: Mapping[str, str] = {"rows": "TrainingSet"}

    def __init__(self, training_set: str | None = None) -> None:
        self._id = training_set

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return the declarations as they are computed, what of them is kept, and how rows are parted."""
        return {
            "training_set": self._id or wanted_training_set(workspace, workspace.tables()),
            "declarations": workspace.plan.version,
            "features": workspace.schema.version,
            "split": workspace.data.split.model_dump(mode="json"),
        }

    def run(self, call: Call) -> Mapping[str, Made]:
        """Describe the set that was written.

        Raises:
            NotFound: it was not written yet.
        """
        workspace = call.workspace
        name = self._id or wanted_training_set(workspace, workspace.tables())
        found = open_training_set(workspace.home.training_sets, workspace.system.name, name)
        facts = {"training_set": found.id, "rows": {part: split.rows for part, split in found.splits.items()}}
        return {"rows": Made(found.folder, digest=content_digest(found), facts=facts)}


def wanted_training_set(workspace: Workspace, found: Tables) -> str:
    """Return the id of the training set that declarations and configuration make of the tables *found*."""
    return training_set_id(workspace.plan, workspace.schema, workspace.data.split, lake_files(found))


def sound_training_set(workspace: Workspace, name: str) -> TrainingSet | None:
    """Return the training set *name* where it was written before and has the very rows that it had then."""
    try:
        found = open_training_set(workspace.home.training_sets, workspace.system.name, name)
    except NotFound:
        return None
    return found if found.complete and rows_hold(workspace, found) else None


def rows_hold(workspace: Workspace, found: TrainingSet) -> bool:
    """Tell whether the files of a set have the rows that they were written with; where that cannot be told, no."""
    if found.engine != engine_name():
        return False
    with open_engine(workspace.home.staging, workspace.data.validation.memory_mb) as connection:
        try:
            return digests_of_files(connection, found) == {part: found.splits[part].digest for part in SPLITS}
        except duckdb.Error:  # a file that is cut off, or is no Parquet file any more
            return False


def content_digest(found: TrainingSet) -> str:
    """Return what stands for the rows of a set: two sets of the same rows have the same; empty where nothing does."""
    parts = {part: found.splits[part].digest for part in SPLITS}
    return digest_of({"schema": found.schema.version, "parts": parts}) if all(parts.values()) else ""
