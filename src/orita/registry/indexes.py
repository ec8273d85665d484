"""Indexes that MLflow's tables lack: with them 100,000 runs are searched in well under a second.

They are added beside MLflow's own, which neither its migrations nor its clients take notice of. A text is indexed by
its first hundred characters, since PostgreSQL refuses to index long ones.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from orita.core.extras import require

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

__all__ = ["INDEXED_CHARACTERS", "INDEXES", "ensure_indexes"]

INDEXED_CHARACTERS = 100
INDEXES = {
    "orita_latest_metrics_value": "latest_metrics (key, value, run_uuid)",
    "orita_params_value": f"params (key, substr(value, 1, {INDEXED_CHARACTERS}), run_uuid)",
    "orita_tags_value": f"tags (key, substr(value, 1, {INDEXED_CHARACTERS}), run_uuid)",
    "orita_runs_started": "runs (experiment_id, lifecycle_stage, start_time, run_uuid)",
    "orita_model_versions_run": "model_versions (run_id)",
}


def ensure_indexes(engine: Engine) -> None:
    """Make the indexes that are not there, all or none; a database user who may not is warned and goes without.

    One process at a time: `orita.registry.tracking` sees to it.
    """
    sql = require("sqlalchemy", extra="train")
    with engine.connect() as connection:
        if not _missing(connection):
            return
    try:
        with engine.begin() as connection:
            for name in _missing(connection):
                connection.execute(sql.text(f"CREATE INDEX IF NOT EXISTS {name} ON {INDEXES[name]}"))
            connection.execute(sql.text("ANALYZE"))
    except sql.exc.ProgrammingError as error:
        logging.getLogger(__name__).warning(
            "the database user may not create indexes, so searches stay slow (%s): let the owner of the tables run "
            "'orita models search' once.",
            str(error.orig).strip(),
        )


def _missing(connection: Connection) -> list[str]:
    sql = require("sqlalchemy", extra="train")
    listed = (
        "SELECT indexname FROM pg_indexes WHERE schemaname = ANY(current_schemas(false))"
        if connection.dialect.name == "postgresql"
        else "SELECT name FROM sqlite_master WHERE type = 'index'"
    )
    there = set(connection.execute(sql.text(listed)).scalars())
    return [name for name in INDEXES if name not in there]
