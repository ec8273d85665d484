"""The component that finds the rows to learn from: the latest training set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orita.core.errors import UserError
from orita.features.training_sets.training_set import (
    SPLITS,
    TrainingSet,
    engine_name,
    latest_training_set,
    open_training_set,
)
from orita.models.examples import Examples
from orita.models.reading import read_examples
from orita.pipelines.components.artifact import Artifact, Made
from orita.pipelines.components.component import Call
from orita.pipelines.components.transform import content_digest, rows_hold
from orita.pipelines.workspace import Workspace

__all__ = ["TrainingRows", "read_part", "training_set_of"]


class TrainingRows:
    """Finds the latest training set; its rows are checked where the size or the time of a file has changed."""

    name = "training_rows"
    version = 1
    inputs: Mapping[str, str] = {}
    outputs: Mapping[str, str] = {"examples": "TrainingSet"}

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return which set it is, and size and time of its files."""
        found = _latest(workspace)
        stats = {part: found.file(part).stat() for part in SPLITS}
        return {
            "training_set": found.id,
            "files": {part: [stat.st_size, stat.st_mtime_ns] for part, stat in stats.items()},
        }

    def run(self, call: Call) -> Mapping[str, Made]:
        """Describe the set.

        Raises:
            UserError: its files do not have the rows that they were written with.
        """
        found = _latest(call.workspace)
        if found.engine == engine_name() and content_digest(found) and not rows_hold(call.workspace, found):
            raise UserError(
                f"the files of training set {found.id} in {found.folder} are damaged: 'orita run etl' makes it again."
            )
        facts = {"training_set": found.id, "rows": {part: split.rows for part, split in found.splits.items()}}
        # The settings watch the files; of a set without digests of its rows, the files' own stand for them.
        return {"examples": Made(found.folder, digest=content_digest(found), facts=facts, watched=False)}


def training_set_of(workspace: Workspace, examples: Artifact) -> TrainingSet:
    """Return the training set that *examples* stands for."""
    return open_training_set(workspace.home.training_sets, workspace.system.name, examples.facts["training_set"])


def read_part(workspace: Workspace, examples: Artifact, part: str) -> Examples:
    """Return the rows of one part of *examples*, with every feature of the set."""
    found = training_set_of(workspace, examples)
    return read_examples(found.file(part), found.schema)


def _latest(workspace: Workspace) -> TrainingSet:
    found = latest_training_set(workspace.home.training_sets, workspace.system.name)
    if not found.complete:
        raise UserError(f"training set {found.id} has lost files in {found.folder}: 'orita run etl' makes it again.")
    return found
