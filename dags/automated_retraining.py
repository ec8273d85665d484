"""automated_retraining: every Sunday, or when monitoring asks; ETL and training run as DAGs of their own.

The success of ETL starts a training, and this DAG waits for that one: nothing is trained twice.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Param, chain
from orita_dags import DEFAULTS, POLL_SECONDS, START, journal_id, orita_task
from orita_waiting import wait_for_training

_ETL_RUN = "retraining__{{ run_id }}"
_TRAINING_RUN = "{{ ti.xcom_pull(task_ids='trigger_training_dag') }}"


def _a_model_is_due(context: Any) -> bool:
    told = context["ti"].xcom_pull(task_ids="check_trigger_conditions")
    return bool(told["retrain"])


with DAG(
    "automated_retraining",
    description="A new model where one is due; it serves if it is surely better.",
    schedule="0 0 * * 0",
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    params={"force": Param(False, type="boolean", description="Retrain whatever the triggers say.")},
    tags=["orita"],
):
    chain(
        orita_task("retraining", "check_trigger_conditions"),
        orita_task("retraining", "fetch_recent_data", only_if=_a_model_is_due),
        TriggerDagRunOperator(
            task_id="trigger_etl_dag",
            trigger_dag_id="etl_and_feature_engineering",
            trigger_run_id=_ETL_RUN,
            reset_dag_run=True,
            wait_for_completion=True,
            poke_interval=POLL_SECONDS,
        ),
        wait_for_training(_ETL_RUN),
        orita_task(
            "retraining",
            "evaluate_new_model",
            done_by={
                "trigger_etl_dag": journal_id("etl", _ETL_RUN),
                "trigger_training_dag": journal_id("training", _TRAINING_RUN),
            },
        ),
        orita_task("retraining", "compare_with_production"),
        orita_task("retraining", "promote_if_better"),
    )
