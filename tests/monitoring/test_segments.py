"""Features within segments: a change of one segment is found there, one of all requests is told once."""

from __future__ import annotations

import numpy as np
import pytest
from tests.monitoring.watched_system import draw, sample_of

from orita.core.errors import UserError
from orita.monitoring.config import DriftDetectionConfig
from orita.monitoring.drift import feature_drift
from orita.monitoring.reference import Reference

_BY_DEVICE = DriftDetectionConfig(segments=("device_mobile",))


def test_a_change_of_segments_that_the_whole_hides_is_found(reference: Reference) -> None:
    """An item feature that rises without a mobile device and falls with one alarms in both segments alone."""
    rows = draw(np.random.default_rng(1), 1500)
    mobile_R = rows["x_NF"][:, 4] == 1
    rows["x_NF"][:, 2] += np.where(mobile_R, -0.03, 0.045).astype(np.float32)
    report = feature_drift(reference, sample_of(rows), _BY_DEVICE)
    segments = {f"item_ctr where device_mobile = {value}" for value in (0, 1)}
    assert {finding.name for finding in report.alarming} == segments


def test_a_change_of_all_requests_is_told_once(reference: Reference) -> None:
    """A shift of every request drifts in both segments and alarms as a whole alone."""
    rows = draw(np.random.default_rng(2), 1500)
    rows["x_NF"][:, 0] += 0.1
    report = feature_drift(reference, sample_of(rows), _BY_DEVICE)
    assert [finding.name for finding in report.alarming] == ["user_historical_ctr"]
    drifted = {finding.name for finding in report.drifted}
    assert {f"user_historical_ctr where device_mobile = {value}" for value in (0, 1)} < drifted


def test_small_segments_and_unchanged_ones_are_silent(reference: Reference) -> None:
    """Nothing is found in unchanged requests; a segment of fewer requests than can be judged is left out."""
    few = DriftDetectionConfig(segments=("device_mobile",), min_requests=700)
    report = feature_drift(reference, sample_of(draw(np.random.default_rng(3), 1500)), few)
    assert not report.drifted
    names = [finding.name for finding in report.findings]
    assert "item_ctr where device_mobile = 1" in names
    assert not any(name.endswith("device_mobile = 0") for name in names)


def test_a_segment_is_a_feature(reference: Reference) -> None:
    """A name that is no feature is refused with those that are."""
    sample = sample_of(draw(np.random.default_rng(4), 50))
    with pytest.raises(UserError, match="names 'country', which is no feature: choose from user_historical_ctr"):
        feature_drift(reference, sample, DriftDetectionConfig(segments=("country",)))
