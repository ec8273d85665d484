"""monitoring_and_drift_detection: what was served against what was expected, every day; drift starts a retraining."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, chain
from airflow.sdk.exceptions import AirflowSkipException
from orita_dags import DEFAULTS, START, orita_task
from orita_waiting import wait_for_etl


def _skip_unless_asked(context: Any) -> None:
    if not context["ti"].xcom_pull(task_ids="generate_alerts")["retrain"]:
        raise AirflowSkipException("Nothing asks for a new model.")


with DAG(
    "monitoring_and_drift_detection",
    description="What was served against what was expected, and who is told.",
    schedule="0 4 * * *",
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["orita"],
):
    chain(
        wait_for_etl(),
        orita_task("monitoring", "load_reference_data"),
        orita_task("monitoring", "load_recent_predictions"),
        orita_task("monitoring", "compute_feature_drift"),
        orita_task("monitoring", "compute_prediction_drift"),
        orita_task("monitoring", "evaluate_online_performance"),
        orita_task("monitoring", "generate_alerts"),
        TriggerDagRunOperator(
            task_id="trigger_retraining",
            trigger_dag_id="automated_retraining",
            trigger_run_id="monitoring__{{ run_id }}",
            skip_when_already_exists=True,
            pre_execute=_skip_unless_asked,
        ),
    )
