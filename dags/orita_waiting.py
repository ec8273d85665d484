"""Tasks that wait in Airflow itself: for an ETL at work to end, and for the training that ETL's success has started."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import PokeReturnValue, task
from airflow.sdk.exceptions import AirflowFailException
from orita_dags import POLL_SECONDS, TRAINING_SET

__all__ = ["wait_for_etl", "wait_for_training"]

_ETL, _TRAINING = "etl_and_feature_engineering", "model_training"
# Rescheduled between two looks, a task of a busy Airflow is taken for lost now and then: it waits in its process.
_WAITING = {"mode": "poke", "poke_interval": POLL_SECONDS, "timeout": 12 * 60 * 60}
_log = logging.getLogger("airflow.task")


def wait_for_etl() -> Any:
    """Return the task that waits while an ETL is at work; how the last one ended is asked by what follows."""
    return task.sensor(task_id="wait_for_etl", **_WAITING)(_no_etl_at_work)()


def wait_for_training(etl_run: str) -> Any:
    """Return the task that waits for the training which the ETL run *etl_run* started; its result is that run's id."""
    return task.sensor(task_id="trigger_training_dag", inlets=[TRAINING_SET], **_WAITING)(_training_ended)(etl_run)


def _no_etl_at_work(ti: Any = None) -> PokeReturnValue:
    return PokeReturnValue(ti.get_dr_count(_ETL, states=["queued", "running"]) == 0)


def _training_ended(etl_run: str, ti: Any = None, inlet_events: Any = None) -> PokeReturnValue:
    # Airflow 3.3 cannot hand out events that have started a run which still waits for its turn.
    if ti.get_dr_count(_TRAINING, states=["queued"]):
        return PokeReturnValue(False)
    started = [
        run.run_id
        for event in inlet_events[TRAINING_SET]
        if event.source_run_id == etl_run
        for run in event.created_dagruns
        if run.dag_id == _TRAINING
    ]
    if not started:
        _log.warning("%s run %s has started no run of %s yet: is that DAG paused?", _ETL, etl_run, _TRAINING)
        return PokeReturnValue(False)
    state = ti.get_dagrun_state(_TRAINING, started[-1])
    if state == "failed":
        raise AirflowFailException(f"{_TRAINING} run {started[-1]} failed: mend it, clear it, then clear this task.")
    return PokeReturnValue(state == "success", started[-1])
