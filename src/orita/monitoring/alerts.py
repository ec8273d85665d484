"""What should someone be told? Alerts as data, and those that a monitoring report gives rise to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from orita.monitoring.alerting.rules import runbook_of
from orita.monitoring.findings import DriftReport
from orita.monitoring.performance import PerformanceReport

__all__ = ["Alert", "Assessment", "Severity", "TableQuality", "assess"]

Severity = Literal["info", "warning", "critical"]

_TOLD = 3


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that is wrong.

    Attributes:
        name: kind of alert, such as ``FEATURE_DRIFT``.
        subject: what it is about: a feature, a model version, a system.
        severity: ``critical`` asks for a person now, ``warning`` today.
        summary: one sentence.
        value: what was measured.
        threshold: what it was held against.
        evidence: path of the report that shows it.
        runbook: file and anchor that say what to do.
        at: when it was found, aware.
    """

    name: str
    subject: str
    severity: Severity
    summary: str
    value: float | None
    threshold: float | None
    evidence: str
    runbook: str
    at: datetime

    @property
    def key(self) -> tuple[str, str]:
        """Alerts with one key are the same alert, however often it fires."""
        return self.name, self.subject

    def to_dict(self) -> dict[str, Any]:
        """Return the alert as plain JSON values."""
        return {**asdict(self), "at": self.at.isoformat()}


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is wrong, and what was looked at at all.

    Attributes:
        firing: alerts, worst first.
        judged: keys that were judged, firing or not. Only these can recover: silence about a thing that could
            not be judged is no good news.
        quiet: what was judged and is well, in the words of an alert.
    """

    firing: tuple[Alert, ...]
    judged: frozenset[tuple[str, str]]
    quiet: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True)
class TableQuality:
    """What was found when new rows of a table were last held against what is declared and inferred of it.

    Attributes:
        table: its name.
        at: when, aware.
        rows: how many were new.
        errors: a sentence for each expectation of severity ``error`` that failed, the surest first.
        warnings: likewise, of severity ``warning``; they raise no alert.
        page: where all of it is shown; None: nothing was found.
    """

    table: str
    at: datetime
    rows: int
    errors: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    page: str | None = None


def assess(
    system: str,
    drift: tuple[DriftReport, ...],
    performance: PerformanceReport | None,
    *,
    quality: Iterable[TableQuality] = (),
    evidence: Path | str,
    at: datetime,
) -> Assessment:
    """Return the alerts of one monitoring run.

    Args:
        system: the system watched, such as ``feed``.
        drift: reports about features and predictions.
        performance: None where nothing was measured.
        quality: of each table that is watched.
        evidence: where the report is, or will be.
        at: when, aware.
    """
    looked_at = [
        *(item for report in drift for item in _drift_checks(system, report)),
        *(_performance_checks(system, performance) if performance else ()),
        *(_quality_check(system, table) for table in quality),
    ]
    alerts = [(check.fires, _alert(check, str(evidence), at)) for check in looked_at]
    firing = sorted((a for fires, a in alerts if fires), key=lambda alert: (alert.severity != "critical", alert.key))
    quiet = tuple(alert for fires, alert in alerts if not fires)
    return Assessment(tuple(firing), frozenset(check.key for check in looked_at), quiet)


@dataclass(frozen=True, slots=True)
class _Check:
    """One thing that was judged."""

    key: tuple[str, str]
    fires: bool
    severity: Severity
    summary: str
    value: float | None
    threshold: float | None
    evidence: str | None = None


def _alert(check: _Check, evidence: str, at: datetime) -> Alert:
    name, subject = check.key
    runbook = runbook_of(name)
    shown = check.evidence or evidence
    return Alert(name, subject, check.severity, check.summary, check.value, check.threshold, shown, runbook, at)


def _drift_checks(system: str, report: DriftReport) -> Iterator[_Check]:
    name = "FEATURE_DRIFT" if report.about == "features" else "PREDICTION_DRIFT"
    for found in report.findings:
        if found.judged:
            key = name, f"{system}/{found.name}"
            yield _Check(key, found.alarming, "warning", found.sentence, found.statistic, found.threshold)


def _performance_checks(system: str, performance: PerformanceReport) -> Iterator[_Check]:
    for version in performance.versions:
        # A suspicion neither raises the alarm nor lifts it.
        if version.state in {"ok", "degraded"}:
            key = "PERFORMANCE_DEGRADATION", f"{system}/{version.model_version}"
            auc = version.auc.value if version.auc else None
            fires = version.state == "degraded"
            yield _Check(key, fires, "critical", version.sentence, auc, version.test_auc)
    latency = performance.latency
    if latency.state != "not_enough_requests":
        fires = latency.state == "exceeded"
        key = "HIGH_LATENCY", system
        yield _Check(key, fires, "critical", latency.sentence, latency.p99_ms, latency.limit_ms)


def _quality_check(system: str, found: TableQuality) -> _Check:
    """Return one check a table: what breaks a source breaks many columns, and is one trouble."""
    told = " ".join(found.errors[:_TOLD])
    more = f" And {len(found.errors) - _TOLD} expectations more." if len(found.errors) > _TOLD else ""
    failed = (
        f"{len(found.errors)} expectation{'' if len(found.errors) == 1 else 's'} of {found.table} failed: {told}{more}"
    )
    summary = failed if found.errors else f"{found.table} is as expected."
    key, count = ("DATA_QUALITY", f"{system}/{found.table}"), float(len(found.errors))
    return _Check(key, bool(found.errors), "warning", summary, count, 0.0, found.page)
