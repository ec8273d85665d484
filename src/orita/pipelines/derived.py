"""A version made of another one without a training: measured on the rows of that one's training set, and kept like it.

`quantising` and `reweighing` make such versions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from orita.core.errors import NotFound, UserError
from orita.events.staging import work_folder
from orita.features.training_sets.reproduction import reproduce
from orita.features.training_sets.training_set import TrainingSet, open_training_set
from orita.models.examples import Examples
from orita.models.package import load_package
from orita.pipelines.judged_rows import judged_rows
from orita.pipelines.references import kept_schema
from orita.pipelines.workspace import Workspace
from orita.registry.catalogue import ModelVersion
from orita.registry.expectations import keep_expectations
from orita.registry.lineage import PARENT

__all__ = ["INT8", "WEIGHTS", "Derived", "derived_id", "inherited", "keep_like_parent", "rows_of_model"]

WEIGHTS, INT8 = "orita.weights", "int8"
"""The tag that says what weights are kept as, and its value; other weights are float32, and have no tag."""
_CODE = ("orita.code", "orita.code.project", "orita.code.commit")
_INHERITED = ("orita.training_set", "orita.tables", "orita.feature_schema", *_CODE, WEIGHTS)


@dataclass(frozen=True, slots=True)
class Derived:
    """What became of it.

    Attributes:
        parent: the version that it was made of.
        entry: the version that was made.
        new: false where it was made before, and nothing was changed.
    """

    parent: ModelVersion
    entry: ModelVersion
    new: bool

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        told = {"version": self.entry.version, "parent": self.parent.version, "type": self.entry.type}
        return {**told, "new": self.new}


def inherited(parent: ModelVersion) -> dict[str, str]:
    """Return the tags of a version that is made of *parent*: that it is, and what holds of both."""
    return {PARENT: parent.version, **{name: parent.tags[name] for name in _INHERITED if name in parent.tags}}


def derived_id(model_id: str, made: str) -> str:
    """Return the id of the model that is *made* of the model *model_id*: another score is another model."""
    return str(UUID(hashlib.sha256(f"{model_id}/{made}".encode()).hexdigest()[:32]))


@contextmanager
def rows_of_model(workspace: Workspace, entry: ModelVersion) -> Iterator[dict[str, Examples]]:
    """Yield the rows of the model's own training set by part, made again where the files were let go.

    Raises:
        NotFound: the model names no training set of this home.
        UserError: made again, the rows are others.
    """
    name, home = entry.tags.get("orita.training_set", ""), workspace.home
    if not name:
        raise NotFound(
            f"{entry.version} names no training set of this home, so there are no rows to measure on: do this "
            "where it was trained, then 'orita models export' and 'orita models import'."
        )
    training_set = open_training_set(home.training_sets, workspace.system.name, name)
    schema, reader = load_package(entry.package).schema, f"model {entry.version}"
    with work_folder(home) as folder:
        if not training_set.complete:
            training_set = _made_again(workspace, training_set, folder / "rows")
        yield {part: judged_rows(workspace, training_set, part, schema, reader) for part in ("train", "val", "test")}


def _made_again(workspace: Workspace, training_set: TrainingSet, folder: Path) -> TrainingSet:
    memory = workspace.data.validation.memory_mb
    made = reproduce(
        workspace.home, workspace.system, training_set.id, folder, memory_mb=memory, progress=workspace.progress
    )
    if not made.equal:
        raise UserError(
            f"the files of training set {training_set.id} were let go, and made again they differ: take a model of a "
            "newer set."
        )
    return replace(training_set, folder=folder)


def keep_like_parent(workspace: Workspace, entry: ModelVersion) -> None:
    """Keep for a version what its training rows led to expect: what is kept of the one that was trained on them."""
    kept, system = kept_schema(workspace, entry.version), workspace.system.name
    if kept.exists():
        return
    versions = {each.version: each for each in workspace.catalogue().versions(system)}
    ancestor = versions.get(entry.tags.get(PARENT, ""))
    while ancestor is not None and not kept.exists():
        source = kept_schema(workspace, ancestor.version)
        if source.exists():
            keep_expectations(workspace.home, system, entry.version, source)
        ancestor = versions.get(ancestor.tags.get(PARENT, ""))
