"""A few hundred runs with all that a search may stumble over, written by SQL since MLflow's client takes its time."""

from __future__ import annotations

import random
from typing import Any

from mlflow.store.tracking.dbmodels import models
from sqlalchemy import insert

from orita.registry.catalogue import Catalogue
from orita.registry.store import Store

__all__ = ["LONG", "METRICS", "PARAMS", "TAGS", "TEXTS", "fill"]

LONG = "x" * 120
METRICS, PARAMS, TAGS = ("auc", "log_loss", "odd name/1"), ("type", "seed"), ("team", "orita.draft")
TEXTS = ("", "ads", "ads2", "feed", "Feed", "it's", 'a "b"', "100%", "a_b", "a b", LONG + "1", LONG + "2", "àdùké")
_BEGUN = 1_767_225_600_000


def fill(catalogue: Catalogue, runs: int, seed: int = 0) -> None:
    """Write *runs* active runs of the system ``feed`` and some that no search may find: deleted ones, another's."""
    store = Store(catalogue.home, config=catalogue._store.config)
    drawn = random.Random(seed)
    mine, other = int(store.experiment("feed")), int(store.experiment("other"))
    rows: dict[Any, list[dict[str, Any]]] = {
        table: [] for table in (models.SqlRun, models.SqlLatestMetric, models.SqlParam, models.SqlTag)
    }
    for number in range(runs + 40):
        run_id = f"{drawn.getrandbits(128):032x}"
        kept = number < runs
        rows[models.SqlRun].append(
            {
                "run_uuid": run_id,
                "name": f"trial {number % 50}",
                "user_id": "ada",
                "status": drawn.choice(["FINISHED", "FAILED", "RUNNING"]),
                "start_time": _BEGUN + 1000 * drawn.randrange(100),
                "end_time": drawn.choice([None, _BEGUN + 200_000, _BEGUN + 300_000]),
                "lifecycle_stage": "active" if kept or number % 2 else "deleted",
                "experiment_id": mine if kept or not number % 2 else other,
            }
        )
        rows[models.SqlLatestMetric] += [_metric(name, run_id, drawn) for name in METRICS if drawn.random() < 0.8]
        for table, names in ((models.SqlParam, PARAMS), (models.SqlTag, TAGS)):
            rows[table] += [
                {"key": name, "value": drawn.choice(TEXTS), "run_uuid": run_id}
                for name in names
                if drawn.random() < 0.7
            ]
        rows[models.SqlTag].append({"key": "mlflow.runName", "value": f"trial {number % 50}", "run_uuid": run_id})
    with store.sql_store.engine.begin() as connection:
        for table, written in rows.items():
            connection.execute(insert(table), written)


def _metric(name: str, run_id: str, drawn: random.Random) -> dict[str, Any]:
    nan = drawn.random() < 0.1
    value = 0.0 if nan else drawn.choice([-1.5, 0.0, 0.25, 0.5, 0.75, 1e-7, 3e12])
    return {"key": name, "value": value, "timestamp": 0, "step": 0, "is_nan": nan, "run_uuid": run_id}
