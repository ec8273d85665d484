"""Runs read by SQL from MLflow's tables, each table asked once for all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from orita.core.extras import require
from orita.registry.run import PARENT, Run, moment_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["read_run_rows"]

_NAME = "mlflow.runName"
_AT_ONCE = 500


def read_run_rows(session: Session, ids: Sequence[str]) -> dict[str, Run]:
    """Return the runs with these ids, by id."""
    found: dict[str, Run] = {}
    for start in range(0, len(ids), _AT_ONCE):
        found |= _read(session, ids[start : start + _AT_ONCE])
    return found


def _read(session: Session, ids: Sequence[str]) -> dict[str, Run]:
    models, sql = require("mlflow.store.tracking.dbmodels.models", extra="train"), require("sqlalchemy", extra="train")
    metric, run = models.SqlLatestMetric.__table__.c, models.SqlRun.__table__.c
    value = sql.case((metric.is_nan.is_(True), None), else_=metric.value)
    metrics = {
        run_id: {name: float("nan") if number is None else number for name, number in of_run.items()}
        for run_id, of_run in _by_run(session.execute(_select(sql, metric, value, ids))).items()
    }
    params, tags = (
        _by_run(session.execute(_select(sql, table.c, table.c.value, ids)))
        for table in (models.SqlParam.__table__, models.SqlTag.__table__)
    )
    infos = sql.select(run.run_uuid, run.name, run.status, run.start_time, run.end_time)
    rows = session.execute(infos.where(run.run_uuid.in_(ids)))
    return {
        run_id: Run(
            run_id=run_id,
            name=name or tags[run_id].get(_NAME, ""),
            status=status,
            started_at=moment_of(started),
            ended_at=moment_of(ended) if ended else None,
            params=params[run_id],
            metrics=metrics.get(run_id, {}),
            tags=tags[run_id],
            parent=tags[run_id].get(PARENT),
        )
        for run_id, name, status, started, ended in rows
    }


def _select(sql: Any, columns: Any, value: Any, ids: Sequence[str]) -> Any:
    return sql.select(columns.run_uuid, columns.key, value).where(columns.run_uuid.in_(ids))


def _by_run(rows: Iterable[Any]) -> defaultdict[str, dict[str, Any]]:
    grouped: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for run_id, key, value in sorted(rows, key=lambda row: (row[0], row[1])):
        grouped[run_id][key] = value
    return grouped
