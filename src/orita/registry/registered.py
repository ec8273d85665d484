"""Where the packages of all registered versions lie, without MLflow where the home's own database can be asked.

Importing MLflow takes seconds and a hundred megabytes, which a server that lists models has not to spare.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from orita.registry.catalogue import Catalogue
from orita.registry.mlmodel import PACKAGE
from orita.registry.store import local_path
from orita.registry.versions import READY, version_name

__all__ = ["registered_packages"]

_SQL = """
SELECT v.version, v.source FROM model_versions v JOIN model_version_tags t ON t.name = v.name AND t.version = v.version
WHERE v.name = ? AND t.key = ? AND v.current_stage != 'Deleted_Internal'
"""


def registered_packages(catalogue: Catalogue, system: str) -> dict[str, Path]:
    """Return the folder of the package of each registered version of *system*, by version."""
    if catalogue.config.tracking_uri is not None:
        return _asked_mlflow(catalogue, system)
    database = catalogue.home.mlflow_db
    if not database.exists():
        return {}
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            rows = connection.execute(_SQL, (catalogue.name(system), READY)).fetchall()
        except sqlite3.DatabaseError:  # of a version of MLflow with other tables: MLflow knows them
            return _asked_mlflow(catalogue, system)
    sources = {version_name(number): local_path(source) for number, source in rows}
    return {version: at if at.name == PACKAGE else at / PACKAGE for version, at in sources.items()}


def _asked_mlflow(catalogue: Catalogue, system: str) -> dict[str, Path]:
    return {entry.version: entry.package for entry in catalogue.versions(system)}
