"""model_training: training rows to a registered model, whenever etl_and_feature_engineering has saved new ones."""

from __future__ import annotations

from airflow.sdk import DAG, chain
from orita_dags import DEFAULTS, START, TRAINING_SET, orita_task

with DAG(
    "model_training",
    description="Training rows to models that are judged, logged and registered.",
    schedule=[TRAINING_SET],
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["orita"],
):
    chain(
        orita_task("training", "load_features"),
        orita_task("training", "train_model"),
        orita_task("training", "evaluate_model"),
        orita_task("training", "log_to_mlflow"),
        orita_task("training", "register_model"),
    )
