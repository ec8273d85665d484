"""The retraining decision: each condition alone, none, the calendar, and the pause after a training."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tests.monitoring.watched_system import answered, draw, logged, sample_of

from orita.monitoring.config import DriftDetectionConfig, PerformanceConfig, RetrainingTriggers
from orita.monitoring.drift import feature_drift
from orita.monitoring.findings import DriftReport
from orita.monitoring.performance import PerformanceReport, online_performance
from orita.monitoring.reference import Reference
from orita.monitoring.triggers import decide, last_scheduled

# A Wednesday.
_NOW = datetime(2024, 11, 13, 4, tzinfo=UTC)
_TUESDAY = _NOW - timedelta(days=1)


@pytest.fixture(scope="module")
def drifted(reference: Reference) -> DriftReport:
    """A report with one alarming feature and one that grows by nature."""
    rows = draw(np.random.default_rng(1), 1000)
    rows["x_NF"][:, :2] += np.array([0.1, 20], dtype=np.float32)
    return feature_drift(reference, sample_of(rows), DriftDetectionConfig())


@pytest.fixture(scope="module")
def grown(reference: Reference) -> DriftReport:
    """A report in which only a count grew."""
    rows = draw(np.random.default_rng(2), 1000)
    rows["x_NF"][:, 1] += 20
    return feature_drift(reference, sample_of(rows), DriftDetectionConfig())


@pytest.fixture(scope="module")
def degraded() -> PerformanceReport:
    """A report in which the model lost quality."""
    predictions = logged(draw(np.random.default_rng(3), 300, per_request=10))
    feedback = answered(predictions, lambda s: np.full(len(s), 0.4))
    return online_performance(predictions, feedback, PerformanceConfig(resamples=100), test_auc={"v1.0.0": 0.8})


def test_drift_asks_for_a_new_model(drifted: DriftReport) -> None:
    """Alarming drift triggers and names the features; switched off it does not."""
    decision = decide((drifted,), None, RetrainingTriggers(), last_training=_TUESDAY, now=_NOW)
    assert decision.retrain
    assert decision.reasons == ("feature_drift: features changed (user_historical_ctr).",)
    off = RetrainingTriggers(feature_drift=False)
    assert not decide((drifted,), None, off, last_training=_TUESDAY, now=_NOW).retrain


def test_growth_by_nature_does_not(grown: DriftReport) -> None:
    """A count that grew drifted, and asks for nothing."""
    assert grown.drifted
    assert not decide((grown,), None, RetrainingTriggers(), last_training=_TUESDAY, now=_NOW).retrain


def test_degradation_asks_for_a_new_model(degraded: PerformanceReport) -> None:
    """A sure loss of quality triggers; switched off it does not."""
    decision = decide((), degraded, RetrainingTriggers(), last_training=_TUESDAY, now=_NOW)
    assert [reason.partition(":")[0] for reason in decision.reasons] == ["performance_degradation"]
    off = RetrainingTriggers(performance_degradation=False)
    assert not decide((), degraded, off, last_training=_TUESDAY, now=_NOW).retrain


def test_a_fresh_model_is_given_time(drifted: DriftReport) -> None:
    """Soon after a training, drift is held and said to be, so that one drift does not train without end."""
    decision = decide((drifted,), None, RetrainingTriggers(), last_training=_NOW - timedelta(hours=3), now=_NOW)
    assert not decision.retrain
    assert "Held: the last training" in decision.held[0]


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        ("daily", "2024-11-13T00:00:00+00:00"),
        ("weekly", "2024-11-10T00:00:00+00:00"),
        ("monthly", "2024-11-01T00:00:00+00:00"),
    ],
)
def test_the_calendar_asks_once(schedule: str, due: str) -> None:
    """A training before the scheduled moment is due, one at it is not; no schedule asks for nothing."""
    moment = datetime.fromisoformat(due)
    assert last_scheduled(schedule, _NOW) == moment
    config = RetrainingTriggers.model_validate({"scheduled": schedule})
    before, at = moment - timedelta(seconds=1), moment
    assert decide((), None, config, last_training=before, now=_NOW).retrain
    assert not decide((), None, config, last_training=at, now=_NOW).retrain
    never = RetrainingTriggers(scheduled=None)
    assert not decide((), None, never, last_training=before, now=_NOW).retrain


def test_the_calendar_is_utc_and_sunday_counts_as_its_own() -> None:
    """Sunday 00:00 UTC is due on that Sunday, also when now is told in another zone."""
    sunday = datetime(2024, 11, 17, tzinfo=UTC)
    assert last_scheduled("weekly", sunday) == sunday
    assert (
        last_scheduled("weekly", sunday.astimezone(datetime.fromisoformat("2024-01-01T00:00-05:00").tzinfo)) == sunday
    )


def test_a_system_that_never_trained_is_due() -> None:
    """Where no training is known, the schedule asks for one."""
    assert decide((), None, RetrainingTriggers(), last_training=None, now=_NOW).retrain
