"""etl_and_feature_engineering: events to training rows, every day; what it saves starts model_training."""

from __future__ import annotations

from airflow.sdk import DAG, chain
from orita_dags import DEFAULTS, SOURCE, START, TRAINING_SET, orita_task

with DAG(
    "etl_and_feature_engineering",
    description="Events to training rows and online features.",
    schedule="0 2 * * *",
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["orita"],
):
    chain(
        orita_task("etl", "ingest_data" if SOURCE else "generate_data"),
        orita_task("etl", "validate_data"),
        orita_task("etl", "compute_features"),
        orita_task("etl", "create_train_val_test_splits"),
        orita_task("etl", "save_features", outlets=[TRAINING_SET]),
    )
