"""Served features against history: which rows are compared, and where the report is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from orita.control.deployments import Deployments
from orita.core.errors import UserError
from orita.events.engine import open_engine
from orita.events.lake import Lake
from orita.events.predictions import prediction_log
from orita.features.api.relations import system_tables
from orita.models.package import package_schema
from orita.monitoring.skew import COLUMNS, measure_skew
from orita.monitoring.skew_report import SkewReport, write_skew
from orita.pipelines.workspace import Workspace

__all__ = ["look_for_skew"]


def look_for_skew(workspace: Workspace, last: timedelta, sample: int) -> tuple[SkewReport, Path]:
    """Compare a sample of what the champion was given in the *last* time with history; return the report and its file.

    Raises:
        UserError: there is no champion, it predicted nothing in this time, or a feature that it reads has changed.
    """
    home, system = workspace.home, workspace.system
    deployed = Deployments(home.control, home.tenant).current(system.name)
    if deployed is None:
        raise UserError(f"system {system.name!r} has no champion, so nothing was served: run 'orita run all' first.")
    now = workspace.clock.now()
    served = prediction_log(
        home,
        start=now - last,
        model_version=deployed.version,
        system=system.name,
        levels=(1,),
        columns=list(COLUMNS),
    )
    if not len(served):
        raise UserError(
            f"{deployed.version} predicted nothing in the last {last}: give --last a longer time, or serve first."
        )
    schema = package_schema(home.packages / system.name / deployed.version)
    memory = workspace.data.validation.memory_mb
    with open_engine(home.staging, memory) as connection:
        found = measure_skew(
            system, schema, served, system_tables(Lake(home), system), connection, sample=sample, seed=now.toordinal()
        )
    report = replace(
        found,
        system=system.name,
        model_version=deployed.version,
        at=now.isoformat(),
        start=(now - last).isoformat(),
        end=now.isoformat(),
    )
    return report, write_skew(home, report)
