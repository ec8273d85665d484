"""How long the history stays: the last runs of each graph, and none of those older than the configuration says."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

from orita.core.clock import to_micros
from orita.pipelines.graph.journal import Journal
from orita.pipelines.graph.places import forget
from orita.pipelines.workspace import Workspace

__all__ = ["prune"]


def prune(graph: str, workspace: Workspace, journal: Journal) -> list[str]:
    """Let go of runs of *graph* beyond those to keep, with their logs and events; return their ids.

    The last run stays however old it is, and so does one that is under way. Reports of runs stay, as evidence.
    """
    oldest = to_micros(workspace.clock.now() - timedelta(days=workspace.runs.keep_days))

    def change(db: sqlite3.Connection) -> list[str]:
        rows = db.execute(
            "SELECT run_id, began, status FROM runs WHERE graph = ? ORDER BY seq DESC LIMIT -1 OFFSET 1", (graph,)
        ).fetchall()
        kept = workspace.runs.keep - 1
        old = [row for place, row in enumerate(rows) if place >= kept or row["began"] < oldest]
        gone = [row["run_id"] for row in old if row["status"] != "running"]
        for table in ("events", "runs"):
            db.executemany(f"DELETE FROM {table} WHERE run_id = ?", [(run_id,) for run_id in gone])
        return gone

    gone = journal.file.write(change, durable=False)
    for run_id in gone:
        forget(workspace, run_id)
    return gone
