"""Is a run or a version still in the registry, and what is it called there? Asked of the home's own database directly:
importing MLflow takes five seconds, and this is asked at every run of a pipeline that finds nothing to do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing

from orita.core.errors import NotFound
from orita.core.home import Home
from orita.registry.catalogue import Catalogue

__all__ = ["aliases_of", "missing_run"]


def missing_run(catalogue: Catalogue, run_ids: Iterable[str]) -> str | None:
    """Return the first of *run_ids* that the registry does not have, None where it has them all."""
    if catalogue.config.tracking_uri is None:
        sql = "SELECT run_uuid FROM runs WHERE run_uuid = ? AND lifecycle_stage = 'active'"
        return next((run_id for run_id in run_ids if not _asked(catalogue.home, sql, run_id)), None)
    for run_id in run_ids:
        try:
            catalogue.runs.get(run_id)
        except NotFound:
            return run_id
    return None


def aliases_of(catalogue: Catalogue, system: str, number: int) -> tuple[str, ...] | None:
    """Return the aliases of the version of *system* with this *number*; None where the registry does not have it."""
    if catalogue.config.tracking_uri is None:
        home, named = catalogue.home, (catalogue.name(system), number)
        there = "SELECT name FROM model_versions WHERE name = ? AND version = ? AND current_stage != 'Deleted_Internal'"
        if not _asked(home, there, *named):
            return None
        return _asked(home, "SELECT alias FROM registered_model_aliases WHERE name = ? AND version = ?", *named)
    try:
        return catalogue.get(system, str(number)).aliases
    except NotFound:
        return None


def _asked(home: Home, sql: str, *values: object) -> tuple[str, ...]:
    """Return the first column of what the home's database answers, sorted."""
    if not home.mlflow_db.exists():
        return ()
    with closing(sqlite3.connect(f"{home.mlflow_db.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            return tuple(sorted(row[0] for row in connection.execute(sql, values)))
        except sqlite3.DatabaseError:  # not MLflow's, or of a version with other tables: the catalogue will say
            return ()
