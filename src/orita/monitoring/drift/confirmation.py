"""Has it been so for long enough to wake someone? Alarms that wait for consecutive reports."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from orita.monitoring.findings import DriftReport
from orita.stats.drift.family import confirmed

__all__ = ["confirm"]


def confirm(report: DriftReport, earlier: Sequence[Collection[str]], reports: int) -> DriftReport:
    """Return *report* with alarms only for what drifted in each of the last *reports* reports, this one included.

    Args:
        report: the newest.
        earlier: names of what drifted in the reports before, oldest first, of the same model version.
        reports: how many reports must agree, ≥ 1; what drifted is reported in any case.
    """
    if reports == 1:
        return report
    names = [finding.name for finding in report.findings]
    past = [{*drifted} for drifted in earlier] + [{finding.name for finding in report.drifted}]
    flags_SK = np.array([[name in drifted for name in names] for drifted in past], dtype=np.bool_)
    kept_K = confirmed(flags_SK.reshape(len(past), len(names)), reports)
    findings = tuple(
        replace(finding, pages=finding.pages and bool(kept))
        for finding, kept in zip(report.findings, kept_K, strict=True)
    )
    return replace(report, findings=findings)
