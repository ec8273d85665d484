"""Alarms wait for as many consecutive reports as were asked for; what drifted is reported in any case."""

from __future__ import annotations

import numpy as np
import pytest
from tests.monitoring.watched_system import draw, sample_of

from orita.monitoring.config import DriftDetectionConfig
from orita.monitoring.drift import feature_drift
from orita.monitoring.drift.confirmation import confirm
from orita.monitoring.reference import Reference


@pytest.mark.parametrize(
    ("earlier", "reports", "alarms"),
    [
        ([], 1, True),
        ([], 2, False),
        ([{"user_historical_ctr"}], 2, True),
        ([{"item_ctr"}], 2, False),
        ([{"user_historical_ctr"}, set()], 3, False),
        ([set(), {"user_historical_ctr"}, {"user_historical_ctr"}], 3, True),
    ],
)
def test_alarms_wait_for_consecutive_reports(
    reference: Reference, earlier: list[set[str]], reports: int, alarms: bool
) -> None:
    """Drift alarms only if each of the last reports found it; it stays in the report."""
    rows = draw(np.random.default_rng(1), 1000)
    rows["x_NF"][:, 0] += 0.06
    report = confirm(feature_drift(reference, sample_of(rows), DriftDetectionConfig()), earlier, reports)
    assert [finding.name for finding in report.drifted] == ["user_historical_ctr"]
    assert bool(report.alarming) is alarms
