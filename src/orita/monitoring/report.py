"""What did one monitoring run find, tell and decide? The report as data; `html` draws it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from orita.core.files import atomic_file
from orita.monitoring.alerts import Alert, TableQuality
from orita.monitoring.dispatch import DispatchReport
from orita.monitoring.findings import DriftReport
from orita.monitoring.html import render_html
from orita.monitoring.performance import PerformanceReport
from orita.monitoring.triggers import TriggerDecision

__all__ = ["MonitoringReport", "report_paths", "to_plain", "write_report"]


@dataclass(frozen=True, slots=True)
class MonitoringReport:
    """One look at one system.

    Attributes:
        system: such as ``feed``.
        model_version: the champion whose reference was used, or None without a reference.
        at: when the run was, aware.
        start, end: of the predictions looked at; None for a log without rows.
        features: drift of features; None without a reference.
        predictions: drift of scores; None without a reference.
        performance: quality and latency.
        alerts: what fires.
        decision: whether to retrain.
        told: who was told what; None before anyone was.
        quality: of the data, by table, as its last check found it.
    """

    system: str
    model_version: str | None
    at: datetime
    start: datetime | None
    end: datetime | None
    features: DriftReport | None
    predictions: DriftReport | None
    performance: PerformanceReport
    alerts: tuple[Alert, ...]
    decision: TriggerDecision
    told: DispatchReport | None = None
    quality: tuple[TableQuality, ...] = ()

    @property
    def drift(self) -> tuple[DriftReport, ...]:
        """The drift reports there are."""
        return tuple(report for report in (self.features, self.predictions) if report is not None)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values; a number that is not finite becomes null."""
        plain: dict[str, Any] = to_plain(self)
        for name, report in (("features", self.features), ("predictions", self.predictions)):
            if report is not None:
                plain[name]["alarming"] = [finding.name for finding in report.alarming]
        return plain


def report_paths(folder: Path, system: str, at: datetime) -> tuple[Path, Path]:
    """Return the JSON and the HTML file in *folder* for a run of *system* at *at*."""
    stem = f"monitoring-{system}-{at:%Y%m%dT%H%M%S}"
    return folder / f"{stem}.json", folder / f"{stem}.html"


def write_report(report: MonitoringReport, folder: Path) -> tuple[Path, Path]:
    """Write *report* as JSON and as one HTML file that needs nothing else; return both paths."""
    as_json, as_html = report_paths(folder, report.system, report.at)
    with atomic_file(as_json) as partial:
        partial.write_text(json.dumps(report.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with atomic_file(as_html) as partial:
        partial.write_text(render_html(report), encoding="utf-8")
    return as_json, as_html


def to_plain(value: Any) -> Any:
    """Return *value* as JSON values: dataclasses become objects, times ISO 8601, non-finite numbers null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
