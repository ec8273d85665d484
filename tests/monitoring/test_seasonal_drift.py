"""Slices of a reference that differ by nature: a further such slice is no drift, an unlike one is."""

from __future__ import annotations

import numpy as np
import pytest
from tests.monitoring.watched_system import START, draw, sample_of

from orita.monitoring.config import DriftDetectionConfig, DriftTest
from orita.monitoring.drift import feature_drift, prediction_drift
from orita.monitoring.reference import Reference
from orita.monitoring.sample import RequestSample

_EVERY_EFFECT = DriftDetectionConfig(feature_drift=DriftTest(min_effect=0), prediction_drift=DriftTest(min_effect=0))


def _week(rng: np.random.Generator, shift: float = 0.0) -> RequestSample:
    rows = draw(rng, 600)
    moved = np.float32(rng.normal(0, 0.05) + shift)
    rows["x_NF"][:, 0] += moved
    rows["scores_N"] = rows["scores_N"] + moved
    return sample_of(rows)


def _reference(weeks: list[RequestSample]) -> Reference:
    return Reference.of_slices(weeks, model_version="v1.0.0", made_at=START, source="earlier weeks")


@pytest.fixture(scope="module")
def weeks() -> list[RequestSample]:
    """Twelve weeks whose click rates differ by nature."""
    rng = np.random.default_rng(1)
    return [_week(rng) for _ in range(12)]


def test_a_week_like_the_others_is_no_drift(weeks: list[RequestSample]) -> None:
    """Weeks whose level varies do not alarm as slices, though the same rows pooled into one sample do."""
    rng, alone = np.random.default_rng(2), 0
    for _ in range(6):
        recent = _week(rng)
        assert not feature_drift(_reference(weeks), recent, _EVERY_EFFECT).drifted
        assert not prediction_drift(_reference(weeks), recent, _EVERY_EFFECT).drifted
        alone += bool(feature_drift(_reference(weeks[:1]), recent, _EVERY_EFFECT).drifted)
    assert alone >= 2


def test_a_week_unlike_all_others_is_drift(weeks: list[RequestSample]) -> None:
    """A shift far beyond the differences of weeks alarms in the feature and in the scores."""
    recent = _week(np.random.default_rng(3), shift=0.6)
    report = feature_drift(_reference(weeks), recent, DriftDetectionConfig())
    assert [finding.name for finding in report.alarming] == ["user_historical_ctr"]
    assert report.findings[0].design_effect > 1
    assert prediction_drift(_reference(weeks), recent, DriftDetectionConfig()).alarming


def test_a_change_of_correlation_alone_is_reported() -> None:
    """Two features that come together are in the report though neither changed; a quiet report says so too."""
    rng = np.random.default_rng(4)
    before, now, steady = (draw(rng, 2500) for _ in range(3))
    order = np.argsort(now["x_NF"][:, 0])
    now["x_NF"][order, 4] = np.sort(now["x_NF"][:, 4])
    reference = _reference([sample_of(before)])
    for rows, found in ((now, True), (steady, False)):
        rows["users_N"] = before["users_N"] = np.arange(2500)
        together = feature_drift(reference, sample_of(rows), _EVERY_EFFECT).together
        by_name = {one.name: one for one in together}
        assert by_name["correlations"].drifted is found
        assert "user_historical_ctr" in by_name["correlations"].sentence or not found
