"""Is a run or a version still in the registry? Asked of the home's own database directly: importing MLflow takes five
seconds, and this is asked at every run that finds nothing to do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing

from orita.core.errors import NotFound
from orita.pipelines.workspace import Workspace

__all__ = ["missing_run", "missing_version"]


def missing_run(workspace: Workspace, run_ids: Iterable[str]) -> str | None:
    """Return the first of *run_ids* that the registry does not have, None where it has them all."""
    if workspace.registry.tracking_uri is None:
        sql = "SELECT count(*) FROM runs WHERE run_uuid = ? AND lifecycle_stage = 'active'"
        return next((run_id for run_id in run_ids if not _found(workspace, sql, run_id)), None)
    catalogue = workspace.catalogue()
    for run_id in run_ids:
        try:
            catalogue.run(run_id)
        except NotFound:
            return run_id
    return None


def missing_version(workspace: Workspace, version: str, number: int) -> bool:
    """Tell whether the registry lacks a version of the system."""
    if workspace.registry.tracking_uri is None:
        sql = (
            "SELECT count(*) FROM model_versions WHERE name = ? AND version = ? AND current_stage != 'Deleted_Internal'"
        )
        return not _found(workspace, sql, f"{workspace.home.tenant}.{workspace.system.name}", number)
    try:
        workspace.catalogue().get(workspace.system.name, version)
    except NotFound:
        return True
    return False


def _found(workspace: Workspace, sql: str, *values: object) -> bool:
    database = workspace.home.mlflow_db
    if not database.exists():
        return False
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            (count,) = connection.execute(sql, values).fetchone()
        except sqlite3.DatabaseError:  # not MLflow's, or of a version with other tables: the catalogue will say
            return False
    return bool(count)
