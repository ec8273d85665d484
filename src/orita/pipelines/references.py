"""What is kept of a version beside its package, for later rows to be held against.

Its *reference* is what its features and scores looked like on test rows, which monitoring compares with; its
*expectations* are what its training rows led to expect of every column, which the next training compares with.
"""

from __future__ import annotations

from pathlib import Path

from orita.models.examples import Examples
from orita.models.package import load_package
from orita.monitoring.reference import Reference
from orita.pipelines.workspace import Workspace
from orita.registry.catalogue import ModelVersion
from orita.registry.expectations import expectations_file

__all__ = ["keep_reference", "kept_schema", "reference_path"]


def reference_path(workspace: Workspace, version: str) -> Path:
    """Return where the reference of a model version is kept."""
    return workspace.home.reports / "references" / workspace.system.name / f"{version}.parquet"


def kept_schema(workspace: Workspace, version: str) -> Path:
    """Return where the expectations of a model version are kept."""
    return expectations_file(workspace.home, workspace.system.name, version)


def keep_reference(workspace: Workspace, entry: ModelVersion, rows: Examples) -> None:
    """Keep the reference of a version: what its features look like in *rows*, and how it scores them."""
    package = load_package(entry.package)
    Reference.from_rows(
        rows.schema,
        rows.x_NF,
        package.score(rows.users_N, rows.items_N, rows.x_NF),
        users_N=rows.users_N,
        items_N=rows.items_N,
        labels_N=rows.y_N,
        model_version=entry.version,
        made_at=workspace.clock.now(),
    ).save(reference_path(workspace, entry.version))
