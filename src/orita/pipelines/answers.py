"""What users did about what was served: the interactions of a system that answer predictions."""

from __future__ import annotations

import pyarrow as pa

from orita.events.engine import open_engine
from orita.events.lake import Lake
from orita.pipelines.workspace import Workspace

__all__ = ["answers_to"]


def answers_to(workspace: Workspace, predictions: pa.Table) -> pa.Table:
    """Return the events that answer one of *predictions*, ids as text like those of the log."""
    snapshot = Lake(workspace.home).snapshot(workspace.system.source.name)
    known = ", CAST(ingested_at AS TIMESTAMPTZ) AS ingested_at" if "ingested_at" in snapshot.schema.names else ""
    with open_engine(workspace.home.staging, workspace.data.validation.memory_mb) as connection:
        connection.register("answered", predictions.select(["request_id"]))
        query = (
            f"SELECT request_id, CAST(item_id AS VARCHAR) AS item_id, click, timestamp{known} "
            f"FROM {snapshot.sql} WHERE request_id IN (SELECT request_id FROM answered)"
        )
        return connection.sql(query).to_arrow_table()
