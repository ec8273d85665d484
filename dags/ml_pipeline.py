"""ml_pipeline: an example, and the shortest use. Extract data, train, validate, deploy what is surely better."""

from __future__ import annotations

from airflow.sdk import DAG
from orita_dags import DEFAULTS, PROJECT, START, journal_id, orita_python


def extract_data(project: str) -> str:
    """Make training rows of what there is, and return their id."""
    from pathlib import Path

    from orita.project import open_project

    (report,) = open_project(Path(project or ".")).run("etl")
    return report.results["save_features"]["training_set"]


def train_model(project: str, training_set: str) -> str:
    """Train on the rows, and return the version of the best model."""
    from pathlib import Path

    from orita.project import open_project

    (report,) = open_project(Path(project or ".")).run("training")
    return report.results["register_model"]["version"]


def validate_model(project: str, version: str, run: str) -> dict:
    """Compare the model with what serves, on rows that neither has seen."""
    from orita.project.outside import carry_out_task

    return carry_out_task("promotion", "compare_with_production", run, project=project, version=version)


def deploy_model(project: str, version: str, run: str, verdict: dict) -> dict:
    """Let the model serve if it is surely better."""
    from orita.project.outside import carry_out_task

    return carry_out_task("promotion", "promote_if_better", run, project=project, version=version)


with DAG(
    "ml_pipeline",
    description="An example of the shortest use.",
    schedule="@daily",
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["orita", "example"],
):
    rows = orita_python(extract_data)(PROJECT)
    trained = orita_python(train_model)(PROJECT, rows)
    found = orita_python(validate_model)(PROJECT, trained, journal_id("promotion"))
    orita_python(deploy_model)(PROJECT, trained, journal_id("promotion"), found)
