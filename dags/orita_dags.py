"""What the DAG files share: settings of the environment, defaults of tasks, and one task of Orita as one of Airflow.

Tasks run in Orita's own environment: ORITA_PYTHON names its interpreter. Where it is not set, Orita and Airflow share
one environment, and tasks run in process. Settings are read when the files are parsed:

- ORITA_PYTHON: the interpreter of the environment that Orita is installed in; empty: this one.
- ORITA_PROJECT: the project's folder; empty: the folder in which Airflow runs.
- ORITA_SOURCE: a file or folder to ingest; empty: a synthetic world is generated.
- ORITA_POLL_SECONDS: how often a task that waits looks, 30 by default.
- ORITA_ALERTING__EMAIL, else ``alerting.email`` in the project's ``monitoring_config.yaml``: who hears of failures.

All of Orita's own variables hold in its tasks too, such as ORITA_HOME.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import Asset, task

__all__ = [
    "DEFAULTS",
    "POLL_SECONDS",
    "PROJECT",
    "SOURCE",
    "START",
    "TRAINING_SET",
    "carry_out",
    "journal_id",
    "orita_python",
    "orita_task",
]

PYTHON = os.environ.get("ORITA_PYTHON", "")
PROJECT = os.environ.get("ORITA_PROJECT", "")
SOURCE = os.environ.get("ORITA_SOURCE", "")
POLL_SECONDS = float(os.environ.get("ORITA_POLL_SECONDS", "30"))
START = datetime(2024, 1, 1, tzinfo=UTC)
TRAINING_SET = Asset(name="orita_training_set", uri="orita://training_set")
"""What save_features makes anew: it starts model_training."""


def _addresses() -> list[str]:
    """Return who is told of failures by e-mail."""
    given = os.environ.get("ORITA_ALERTING__EMAIL")
    file = Path(PROJECT) / "monitoring_config.yaml"
    if given is None and file.is_file():
        alerting = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("alerting") or {}
        given = alerting.get("email")
    return [] if given in (None, "", "null") else [each.strip() for each in given.split(",")]


_RECIPIENTS = _addresses()
DEFAULTS: dict[str, Any] = {
    "owner": "ml-team",
    "retries": 2,
    "retry_delay": timedelta(minutes=5),
    **({"on_failure_callback": SmtpNotifier(to=_RECIPIENTS)} if _RECIPIENTS else {}),
}


def journal_id(pipeline: str, run_id: str = "{{ run_id }}") -> str:
    """Return how a run of Airflow is called in Orita's journal, which has all pipelines' runs."""
    return f"{pipeline}.{run_id}"


def carry_out(
    pipeline: str, name: str, run: str, project: str, source: str, force: str, done_by: dict[str, str]
) -> dict:
    """Carry out one task of a pipeline, in Orita's environment: nothing of this module is in reach there."""
    import sys

    from orita.project.outside import carry_out_task

    told = carry_out_task(pipeline, name, run, project=project, source=source, force=force == "True", done_by=done_by)
    if told["status"] != "held":
        return told
    try:
        from airflow.sdk.exceptions import AirflowSkipException
    except ImportError:
        print(told["why"])  # noqa: T201 - the task's log has what its process prints
        sys.exit(99)
    raise AirflowSkipException(told["why"])


def orita_python(function: Callable[..., Any], **options: Any) -> Any:
    """Return *function* as a task that runs where Orita is installed; it imports what it needs itself."""
    if PYTHON:
        there = {"python": PYTHON, "expect_airflow": False, "skip_on_exit_code": 99}
        return task.external_python(**there, **options)(function)
    return task(**options)(function)


def orita_task(
    pipeline: str,
    name: str,
    *,
    only_if: Callable[[Any], bool] | None = None,
    done_by: dict[str, str] | None = None,
    **options: Any,
) -> Any:
    """Return one task of a pipeline as a task of the DAG around it.

    Args:
        pipeline: ``etl``, ``training``, ``monitoring`` or ``retraining``.
        name: of the task, in both.
        only_if: tells of the context whether there is anything to do; else the task is skipped.
        done_by: see `orita.project.outside.carry_out_task`.
        options: of Airflow's task, such as ``outlets``.
    """
    decorated = orita_python(carry_out, task_id=name, **options)
    if only_if is not None:
        decorated = task.run_if(only_if, f"There is nothing to do for {name}.")(decorated)
    force = "{{ params.get('force', False) }}"
    return decorated(pipeline, name, journal_id(pipeline), PROJECT, SOURCE, force, done_by or {})
