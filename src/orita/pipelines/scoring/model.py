"""Which model scores: from the package store where it serves, or may again, else from the catalogue."""

from __future__ import annotations

from pathlib import Path

from orita.pipelines.components.champion import champion_version
from orita.pipelines.workspace import Workspace

__all__ = ["model_folder"]


def model_folder(workspace: Workspace, version: str) -> tuple[str, Path]:
    """Return the version that *version* names, and where its package is.

    What serves is known without the catalogue, which takes seconds to ask and needs MLflow.

    Raises:
        NotFound: there is no such version; the sentence says what exists.
    """
    serving = champion_version(workspace)
    if serving and version in ("champion", serving):
        return serving, workspace.home.packages / workspace.system.name / serving
    entry = workspace.catalogue().get(workspace.system.name, version)
    return entry.version, entry.package
